//! The certificate authorities of a mesh: `inspect certificate-authorities` and `rotate mesh-ca`.

use crate::{fake_api::FakeApi, program::Kumactl};

const LIST: &str = "GET /meshes/demo/certificate-authorities";
const MAKE: &str = "POST /meshes/demo/certificate-authorities";
const SIGN: &str = "POST /meshes/demo/certificate-authorities/b2/signing";
const RETIRE: &str = "DELETE /meshes/demo/certificate-authorities/a1";

const ROTATE: [&str; 4] = ["rotate", "mesh-ca", "--mesh", "demo"];

/// As the API says it, with more than is known here.
fn ca(id: &str, signs: bool, trusting: u64, using: u64) -> String {
    format!(
        r#"{{"id":"{id}","signs":{signs},"notBefore":"2026-01-01T00:00:00Z","notAfter":"2036-01-01T00:00:00Z",
            "certificate":"-----BEGIN CERTIFICATE-----\n","proxies":{{"dataplanes":5,"connected":3,"trusting":{trusting},"using":{using}}},"news":1}}"#
    )
}

fn list(cas: &[String]) -> String {
    format!(r#"{{"items":[{}]}}"#, cas.join(","))
}

fn refusal(details: &str) -> String {
    format!(r#"{{"title":"Could not change the certificate authorities of the mesh","details":"{details}"}}"#)
}

const WARNING: &str = "warning: 2 of 5 Dataplanes are not connected, and nobody waits for them: until they are, they refuse the \
                       others and are refused\n";

const TABLE_OF_ONE: &str = "\
ID   USE     NOT AFTER              DATAPLANES   CONNECTED   TRUSTING   USING
b2   signs   2036-01-01T00:00:00Z   5            3           3          3
";

#[tokio::test]
async fn they_are_shown_with_the_proxies_that_trust_and_use_them() {
    let cas = list(&[ca("a1", true, 3, 3), ca("b2", false, 1, 0)]);
    let api = FakeApi::start(&[(LIST, 200, &cas)]).await;
    let kumactl = Kumactl::with(&api.address);
    let inspect = ["inspect", "certificate-authorities", "--mesh", "demo"];
    let table = "\
ID   USE        NOT AFTER              DATAPLANES   CONNECTED   TRUSTING   USING
a1   signs      2036-01-01T00:00:00Z   5            3           3          3
b2   verifies   2036-01-01T00:00:00Z   5            3           1          0
";
    kumactl.run(&inspect).await.expect(0, table, "");
    let yaml = kumactl.run(&[&inspect[..], &["-o", "yaml"]].concat()).await;
    assert!(yaml.stdout.starts_with("items:\n- certificate: "), "{yaml:?}");
    assert!(yaml.stdout.contains("  news: 1\n"), "what is not known here is shown: {yaml:?}");
}

#[tokio::test]
async fn a_ca_is_replaced_when_the_proxies_are_ready_for_each_step() {
    let lists = [
        [ca("a1", true, 3, 3)].to_vec(),
        [ca("a1", true, 3, 3), ca("b2", false, 1, 0)].to_vec(),
        [ca("a1", true, 3, 3), ca("b2", false, 3, 0)].to_vec(),
        // After the control plane has refused it.
        [ca("a1", true, 3, 3), ca("b2", false, 3, 0)].to_vec(),
        [ca("a1", false, 3, 2), ca("b2", true, 3, 1)].to_vec(),
        [ca("a1", false, 3, 0), ca("b2", true, 3, 3)].to_vec(),
        [ca("b2", true, 3, 3)].to_vec(),
    ];
    let lists = lists.map(|cas| list(&cas));
    let (made, not_yet) = (ca("b2", false, 1, 0), refusal("3 of 4 proxies trust it."));
    let mut answers: Vec<_> = lists.iter().map(|cas| (LIST, 200, cas.as_str())).collect();
    answers.extend([(MAKE, 200, made.as_str()), (SIGN, 409, &not_yet), (SIGN, 200, ""), (RETIRE, 200, "")]);
    let api = FakeApi::start(&answers).await;
    let said = format!(
        "\
made certificate authority \"b2\", which does not sign yet
{WARNING}1 of 3 connected proxies trust certificate authority \"b2\"
3 of 3 connected proxies trust certificate authority \"b2\"
certificate authority \"b2\" signs from now on
{WARNING}2 of 3 connected proxies use a certificate of \"a1\"
0 of 3 connected proxies use a certificate of \"a1\"
retired certificate authority \"a1\"
"
    );
    Kumactl::with(&api.address).run(&ROTATE).await.expect(0, TABLE_OF_ONE, &said);
    let changes: Vec<_> = api.requests().into_iter().filter(|it| !it.starts_with("GET")).collect();
    assert_eq!(changes, [MAKE, SIGN, SIGN, RETIRE]);
}

/// Wherever it was interrupted.
#[tokio::test]
async fn a_rotation_that_was_begun_goes_on_and_makes_no_further_ca() {
    let made = [ca("a1", true, 3, 3), ca("b2", false, 3, 0)].to_vec();
    let signs = [ca("a1", false, 3, 0), ca("b2", true, 3, 3)].to_vec();
    let ended = [ca("b2", true, 3, 3)].to_vec();
    for (lists, expected) in [
        (vec![&made, &made, &signs, &ended], vec![SIGN, RETIRE]),
        (vec![&signs, &signs, &ended], vec![RETIRE]),
    ] {
        let lists: Vec<_> = lists.into_iter().map(|cas| list(cas)).collect();
        let mut answers: Vec<_> = lists.iter().map(|cas| (LIST, 200, cas.as_str())).collect();
        answers.extend([(SIGN, 200, ""), (RETIRE, 200, "")]);
        let api = FakeApi::start(&answers).await;
        let ran = Kumactl::with(&api.address).run(&ROTATE).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (0, TABLE_OF_ONE), "{ran:?}");
        assert!(ran.stderr.starts_with("going on with the rotation that was begun before\n"), "{ran:?}");
        let changes: Vec<_> = api.requests().into_iter().filter(|it| !it.starts_with("GET")).collect();
        assert_eq!(changes, expected);
    }
}

#[tokio::test]
async fn forced_it_waits_for_nobody() {
    let lists = [
        [ca("a1", true, 3, 3)].to_vec(),
        [ca("a1", true, 3, 3), ca("b2", false, 1, 0)].to_vec(),
        [ca("a1", false, 3, 3), ca("b2", true, 3, 0)].to_vec(),
        [ca("b2", true, 3, 3)].to_vec(),
    ];
    let lists = lists.map(|cas| list(&cas));
    let made = ca("b2", false, 1, 0);
    let mut answers: Vec<_> = lists.iter().map(|cas| (LIST, 200, cas.as_str())).collect();
    answers.extend([(MAKE, 200, made.as_str()), (SIGN, 200, ""), (RETIRE, 200, "")]);
    let api = FakeApi::start(&answers).await;
    let ran = Kumactl::with(&api.address).run(&[&ROTATE[..], &["--force"]].concat()).await;
    assert_eq!((ran.status, ran.stdout.as_str()), (0, TABLE_OF_ONE), "{ran:?}");
    let changes: Vec<_> = api.requests().into_iter().filter(|it| !it.starts_with("GET")).collect();
    assert_eq!(changes, [MAKE.to_owned(), format!("{SIGN}?force=true"), format!("{RETIRE}?force=true")]);
}

#[tokio::test]
async fn out_of_patience_it_says_how_far_it_came_and_what_to_do() {
    let waiting = list(&[ca("a1", true, 3, 3), ca("b2", false, 1, 0)]);
    let api = FakeApi::start(&[(LIST, 200, &waiting)]).await;
    let ran = Kumactl::with(&api.address).run(&[&ROTATE[..], &["--timeout", "0s"]].concat()).await;
    ran.expect(
        1,
        "",
        &format!(
            "going on with the rotation that was begun before\n{WARNING}\
         1 of 3 connected proxies trust certificate authority \"b2\"\n\
         Error: after 0s 1 of 3 connected proxies trust certificate authority \"b2\". `kumactl inspect dataplanes --mesh demo` \
         shows who is connected and has errors; run the same command again to go on, or with --force to wait for no proxy\n"
        ),
    );
    assert_eq!(api.requests(), [LIST, LIST]);
}

#[tokio::test]
async fn a_mesh_that_is_not_there_and_a_control_plane_that_cannot_are_told_apart() {
    let no_mesh = r#"{"title":"Could not retrieve resources","details":"There is no mesh \"demo\"."}"#;
    let unknown = r#"{"title":"Could not process the request","details":"Not found"}"#;
    for (status, body, expected) in [
        (404, no_mesh, "Could not retrieve resources (There is no mesh \"demo\".)"),
        (404, unknown, "there are no certificate authorities at "),
        (404, "404: Page Not Found", "use a newer control plane"),
        (
            502,
            "bad gateway",
            "failed to list the certificate authorities of mesh \"demo\": (502): bad gateway",
        ),
    ] {
        let api = FakeApi::start(&[(LIST, status, body)]).await;
        let kumactl = Kumactl::with(&api.address);
        for arguments in [&["inspect", "certificate-authorities", "--mesh", "demo"][..], &ROTATE] {
            kumactl.run(arguments).await.expect_error(1, &[expected]);
        }
    }
}

#[tokio::test]
async fn what_is_refused_for_another_reason_is_said_at_once() {
    let (one, full) = (list(&[ca("a1", true, 3, 3)]), refusal("There are 8 of them."));
    let api = FakeApi::start(&[(LIST, 200, &one), (MAKE, 409, &full)]).await;
    Kumactl::with(&api.address).run(&ROTATE).await.expect(
        1,
        "",
        "Error: Could not change the certificate authorities of the mesh (There are 8 of them.)\n",
    );
}
