//! Which tokens hold: `revoke dataplane-token` and `rotate token-key`.

use serde_json::{Value, json};

use crate::{fake_api::FakeApi, program::Kumactl};

const REVOCATIONS: &str = "POST /tokens/revocations";

#[tokio::test]
async fn a_token_is_revoked_by_its_file_or_its_id_and_never_shown() {
    let api = FakeApi::start(&[(REVOCATIONS, 200, r#"{"jti":"1-2-3"}"#)]).await;
    let kumactl = Kumactl::with(&api.address);
    kumactl.write("web.token", "to.k.en\n");
    let arguments = ["revoke", "dataplane-token", "--token-file", "web.token"];
    kumactl.run(&arguments).await.expect(0, "", "revoked token \"1-2-3\"\n");
    let loud = kumactl.run(&[&arguments[..], &["--log-level", "debug"]].concat()).await;
    assert!(loud.status == 0 && !loud.stderr.contains("to.k.en"), "{loud:?}");
    let by_id = ["revoke", "dataplane-token", "--jti", "1-2-3"];
    kumactl.run(&by_id).await.expect(0, "", "revoked token \"1-2-3\"\n");

    let bodies: Vec<Value> =
        api.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(bodies, [json!({"token": "to.k.en"}), json!({"token": "to.k.en"}), json!({"jti": "1-2-3"})]);
}

#[tokio::test]
async fn what_keeps_a_token_from_being_revoked_is_said() {
    let refused = r#"{"title":"Could not revoke the token","details":"The request is not valid","causes":[{"field":"token","message":"is odd"}]}"#;
    for (status, body, expected) in [
        (400, refused, "Error: Could not revoke the token (The request is not valid)\n* token: is odd\n"),
        (502, "bad gateway", "Error: failed to revoke the token: (502): bad gateway\n"),
    ] {
        let api = FakeApi::start(&[(REVOCATIONS, status, body)]).await;
        let ran = Kumactl::with(&api.address).run(&["revoke", "dataplane-token", "--jti", "x"]).await;
        ran.expect(1, "", expected);
    }
    for (status, body, expected) in [
        (400, refused, "Error: Could not revoke the token (The request is not valid)\n* web.token: is odd\n"),
        (502, "bad gateway", "Error: failed to revoke the token in web.token: (502): bad gateway\n"),
    ] {
        let api = FakeApi::start(&[(REVOCATIONS, status, body)]).await;
        let kumactl = Kumactl::with(&api.address);
        kumactl.write("web.token", "to.k.en\n");
        let ran = kumactl.run(&["revoke", "dataplane-token", "--token-file", "web.token"]).await;
        ran.expect(1, "", expected);
    }
    let absent = ["revoke", "dataplane-token", "--token-file", "absent"];
    Kumactl::with("http://127.0.0.1:1").run(&absent).await.expect(
        1,
        "",
        "Error: error while reading the token: open absent: No such file or directory\n",
    );
}

#[tokio::test]
async fn a_key_is_made_and_the_old_one_retired() {
    let keys = r#"{"items":[{"kid":"00000001","signs":false},{"kid":"00000002","signs":true,"new":1}]}"#;
    let api = FakeApi::start(&[
        ("POST /tokens/keys", 200, r#"{"kid":"00000002"}"#),
        ("GET /tokens/keys", 200, keys),
        ("DELETE /tokens/keys/00000001", 200, ""),
    ])
    .await;
    let kumactl = Kumactl::with(&api.address);
    let table = "KEY        USE\n00000001   verifies\n00000002   signs\n";
    let made = "made token key \"00000002\", which signs from now on\n";
    kumactl.run(&["rotate", "token-key"]).await.expect(0, table, made);
    let retire = ["rotate", "token-key", "--retire", "00000001"];
    kumactl.run(&retire).await.expect(0, table, "retired token key \"00000001\"\n");
    assert_eq!(
        api.requests(),
        ["POST /tokens/keys", "GET /tokens/keys", "DELETE /tokens/keys/00000001", "GET /tokens/keys"]
    );
}

#[tokio::test]
async fn a_key_that_signs_or_is_not_there_is_not_retired() {
    let signs =
        r#"{"title":"Could not change the token keys","details":"The key 00000002 is the one that signs."}"#;
    let absent = r#"{"title":"Could not change the token keys","details":"Not found"}"#;
    let api = FakeApi::start(&[
        ("DELETE /tokens/keys/00000002", 409, signs),
        ("DELETE /tokens/keys/00000009", 404, absent),
    ])
    .await;
    let kumactl = Kumactl::with(&api.address);
    kumactl.run(&["rotate", "token-key", "--retire", "00000002"]).await.expect(
        1,
        "",
        "Error: Could not change the token keys (The key 00000002 is the one that signs.)\n",
    );
    let absent = kumactl.run(&["rotate", "token-key", "--retire", "00000009"]).await;
    absent.expect(1, "", "Error: there is no token key \"00000009\"\n");
}

#[tokio::test]
async fn a_control_plane_that_has_no_revocation_yet_is_told_from_a_key_that_is_not_there() {
    let unknown = r#"{"title":"Could not process the request","details":"There is nothing at this path."}"#;
    for body in [unknown, "404: Page Not Found"] {
        let paths = ["POST /tokens/revocations", "POST /tokens/keys", "DELETE /tokens/keys/1"];
        let api = FakeApi::start(&paths.map(|path| (path, 404, body))).await;
        let kumactl = Kumactl::with(&api.address);
        for arguments in [
            &["revoke", "dataplane-token", "--jti", "x"][..],
            &["rotate", "token-key"],
            &["rotate", "token-key", "--retire", "1"],
        ] {
            let expected = ["there is no token revocation at ", "use a newer control plane"];
            kumactl.run(arguments).await.expect_error(1, &expected);
        }
    }
}
