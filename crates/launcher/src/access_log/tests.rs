use std::fs::File;
use std::io::Write as _;
use std::iter;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::time::timeout;

use super::*;

/// What is counted after these bytes.
fn counted(bytes: &[u8]) -> Vec<String> {
    let metrics = Arc::new(Metrics::new());
    let pipe = Identity::of("/dev/null").expect("it is there");
    let mut targets = Targets::new("default", pipe, &metrics);
    let mut lines = Lines::default();
    lines.take(bytes, |line| targets.take(&line, Instant::now()));
    let printed = metrics.print().expect("it prints");
    let mut counted: Vec<_> = printed
        .lines()
        .filter(|line| line.contains('{') && !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect();
    counted.sort();
    counted
}

/// Fault F25: a line break in a name that a stranger has chosen. Envoy prints it as JSON, so what follows it stays inside.
#[test]
fn what_a_strangers_certificate_says_is_no_line_and_no_target() {
    let target = "file:/tmp/owned;x";
    let refused = |source: &str| {
        let source = serde_json::Value::from(source);
        format!(
            r#"{{"reason":"TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_X509_verify_cert:_self_signed_certificate:TLS_error_end","source":{source},"destination":"backend","target":"refused"}}"#
        ) + "\n"
    };
    for source in [
        format!("spiffe://default/web\n{target}"),
        format!("spiffe://default/web\n{{\"target\":\"{target}\"}}\n"),
        format!("x\",\"target\":\"{target}"),
    ] {
        assert_eq!(
            counted(refused(&source).as_bytes()),
            [r#"kuma_dp_denied_total{source="unknown",destination="backend"} 1"#],
            "{source:?}"
        );
    }
}

/// If Envoy did not escape, as in a text log: nothing is believed that is not a whole entry.
#[test]
fn a_line_that_is_broken_by_a_name_is_dropped() {
    let text = b"spiffe://default/web\nfile:/tmp/owned;x\n{\"target\":\"file:/tmp/owned\",\"text\":\"x\"}\n{\"target\":\"x\"}\n";
    assert_eq!(
        counted(text),
        [
            r#"kuma_dp_access_log_lines_dropped_total{reason="malformed"} 3"#,
            r#"kuma_dp_access_log_lines_dropped_total{reason="unknown_target"} 1"#,
        ]
    );
}

/// Else a flood is read into queues that nobody empties, and what does not fit is lost.
#[tokio::test]
async fn the_sinks_have_their_turn_between_two_reads() {
    const DEADLINE: Duration = Duration::from_mins(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("pipe");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("the folder is ours");
    let metrics = Arc::new(Metrics::new());
    let opened =
        path.to_str().map(|path| AccessLog::open(path, "default", &metrics, Arc::new(Notify::new())));
    let mut access_log = opened.expect("it is UTF-8").expect("it is there");
    let mut envoy =
        File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).expect("it is");
    let lines = iter::repeat_with(|| envoy.write(&[b"x".repeat(1023), b"\n".to_vec()].concat()));
    let lines = lines.take_while(Result::is_ok).count();
    assert!(lines * 1024 > 2 * READ_SIZE, "{lines} lines are no more than two reads");

    let dropped = |lines: usize| {
        let counted = format!("kuma_dp_access_log_lines_dropped_total{{reason=\"malformed\"}} {lines}\n");
        metrics.print().expect("it prints").contains(&counted)
    };
    // What another task sees at its turns: nothing, part of the lines, and all of them.
    let parts = async {
        let mut parts = 0;
        while !dropped(lines) {
            parts += usize::from(!dropped(0));
            yield_now().await;
        }
        parts
    };
    let parts = tokio::select! {
        never = access_log.follow() => match never {},
        parts = timeout(DEADLINE, parts) => parts.expect("all is read"),
    };
    assert!(parts > 0, "all is read at once");
}
