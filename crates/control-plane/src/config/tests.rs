use super::*;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_yaml(yaml: &str) -> Result<Config, Vec<String>> {
    load(Some(ConfigFile { path: "kuma.yaml", yaml }), &BTreeMap::new())
        .map(|(config, _)| config)
        .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

#[test]
fn a_variable_beats_the_file_and_the_file_beats_the_default() {
    let yaml = "apiServer: {port: 7000, readOnly: true}\n";
    let (config, _) =
        load(Some(ConfigFile { path: "f", yaml }), &variables(&[("KUMA_API_SERVER_PORT", "7001")])).unwrap();
    assert_eq!((config.api_server.port, config.api_server.read_only), (7001, true));
    assert_eq!(config.xds_server.grpc_port, 5678);
}

#[test]
fn every_error_is_reported_with_its_path_and_the_nearest_key() {
    let errors =
        from_yaml("apiServer: {prt: 7000, readOnly: maybe}\nstore: {type: pstgres}\nlog: {level: 7}\n");
    assert_eq!(
        errors.unwrap_err(),
        [
            "kuma.yaml: there is no setting apiServer.prt; did you mean apiServer.port?",
            "apiServer.readOnly: \"maybe\" cannot be used: true or false is expected",
            "log.level: 7 cannot be used: a string is expected; put it in quotes",
            "store.type: \"pstgres\" cannot be used: one of embedded, memory, postgres is expected",
        ]
    );
}

#[test]
fn what_is_not_served_is_refused_with_a_sentence() {
    for (yaml, part) in [
        ("general: {interface: all}", "only loopback is served yet"),
        ("apiServer: {https: {port: 5682}}", "apiServer.https.port cannot be set: only loopback"),
        ("store: {type: postgres}", "no PostgreSQL store yet"),
        ("environment: kubernetes", "no store for Kubernetes yet"),
        ("sdsServer: {grpcPort: 5677}", "secrets travel with the rest of xDS"),
        ("dataplaneTokenServer: {local: {port: 5679}}", "tokens are served on apiServer.port"),
        ("a: [", "kuma.yaml is not YAML"),
    ] {
        let errors = from_yaml(yaml).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains(part), "{yaml}: {errors:?}");
    }
}

#[test]
fn an_unknown_variable_is_said_and_those_of_other_programs_are_not() {
    let variables =
        variables(&[("KUMA_API_SERVER_PROT", "1"), ("KUMA_DATAPLANE_NAME", "web"), ("HOME", "/root")]);
    let (config, warnings) = load(None, &variables).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("did you mean KUMA_API_SERVER_PORT?"), "{warnings:?}");
}

#[test]
fn durations_are_read_as_go_writes_them() {
    for (text, milliseconds) in [
        ("1s", Some(1_000)),
        ("1h30m", Some(5_400_000)),
        ("250ms", Some(250)),
        ("1", None),
        ("", None),
        ("s", None),
        ("0s", None),
        ("25h", None),
        ("1d", None),
    ] {
        let yaml = format!("xdsServer: {{dataplaneStatusFlushInterval: {text:?}}}");
        let read = from_yaml(&yaml).ok().map(|config| config.xds_server.status_flush_interval.as_millis());
        assert_eq!(read, milliseconds, "{text}");
    }
}

#[test]
fn a_certificate_lives_between_ten_seconds_and_ninety_days_and_a_short_life_is_warned_of() {
    for (text, seconds, is_warned_of) in [
        ("336h", Some(14 * 86_400), false),
        ("2160h", Some(90 * 86_400), false),
        ("1h", Some(3_600), false),
        ("59m59s", Some(3_599), true),
        ("10s", Some(10), true),
        ("9s", None, false),
        ("2160h1s", None, false),
        ("14d", None, false),
        ("", None, false),
    ] {
        let variables = variables(&[("KUMA_IDENTITY_CERTIFICATE_VALIDITY", text)]);
        let read = load(None, &variables).ok();
        let validity = |config: &Config| Duration::from(config.identity.certificate_validity).as_secs();
        assert_eq!(read.as_ref().map(|(config, _)| validity(config)), seconds, "{text}");
        let warned = read.is_some_and(|(_, warnings)| warnings.iter().any(|it| it.contains("less than 1h")));
        assert_eq!(warned, is_warned_of, "{text}");
    }
    assert_eq!(show(&Config::default())["identity"]["certificateValidity"], "1209600s");
}

#[test]
fn no_two_settings_share_a_key_or_a_variable_and_all_are_shown() {
    let keys: std::collections::BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    let names: std::collections::BTreeSet<_> = SETTINGS.iter().map(|setting| setting.variable).collect();
    assert_eq!((keys.len(), names.len()), (SETTINGS.len(), SETTINGS.len()));
    assert_eq!(show(&Config::default())["apiServer"]["port"], 5681);
}
