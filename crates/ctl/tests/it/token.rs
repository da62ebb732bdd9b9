use serde_json::{Value, json};

use crate::{fake_api::FakeApi, program::Kumactl};

const CATALOGUE: &str = r#"{"version":2,"apis":{"dataplaneToken":{"localUrl":"{API}/below"}}}"#;

#[tokio::test]
async fn a_token_comes_alone_from_the_server_in_the_catalogue() {
    let api =
        FakeApi::start(&[("GET /catalogue", 200, CATALOGUE), ("POST /below/tokens", 200, "to.k.en")]).await;
    let kumactl = Kumactl::with(&api.address);
    kumactl.run(&["generate", "dataplane-token", "--dataplane", "web-1"]).await.expect(0, "to.k.en", "");
    let arguments = ["generate", "dataplane-token", "--name=web-1", "--mesh", "demo", "--valid-for", "24h"];
    kumactl.run(&arguments).await.expect(0, "to.k.en", "");

    assert_eq!(
        api.requests(),
        ["GET /catalogue", "POST /below/tokens", "GET /catalogue", "POST /below/tokens"]
    );
    let bodies = [1, 3].map(|i| serde_json::from_str::<Value>(&api.asked()[i].body).unwrap());
    assert_eq!(
        bodies,
        [
            json!({"name": "web-1", "mesh": "pilot"}),
            json!({"name": "web-1", "mesh": "demo", "validFor": "24h"}),
        ]
    );
    assert_eq!(api.asked()[1].content_type.as_deref(), Some("application/json"));
}

#[tokio::test]
async fn what_keeps_a_token_back_is_said() {
    let refused = r#"{"title":"Could not make a token","details":"Request is not valid","causes":[{"field":"validFor","message":"is odd"}]}"#;
    let disabled = r#"{"apis":{"dataplaneToken":{"localUrl":"","publicUrl":""}}}"#;
    let https = r#"{"apis":{"dataplaneToken":{"localUrl":"https://127.0.0.1:1"}}}"#;
    let away = r#"{"apis":{"dataplaneToken":{"localUrl":"http://127.0.0.1:1"}}}"#;
    let no_client = "Error: failed to create dataplane token client: ";
    let no_token = "Error: failed to generate a dataplane token: ";
    for (catalogue, tokens, expected) in [
        (
            (200, disabled),
            (200, ""),
            format!("{no_client}Enable the server to be able to generate tokens.\n"),
        ),
        (
            (200, https),
            (200, ""),
            format!("{no_client}certificates has to be configured to use https destination\n"),
        ),
        ((500, "boom"), (200, ""), format!("{no_client}unexpected status code 500. Expected 200\n")),
        (
            (200, "boom"),
            (200, ""),
            format!(
                "{no_client}could not unmarshal the catalogue of the Control Plane: expected value at line 1 column 1\n"
            ),
        ),
        (
            (200, away),
            (200, ""),
            format!(
                "{no_token}could not execute the request: POST http://127.0.0.1:1/tokens: Connection refused\n"
            ),
        ),
        ((200, CATALOGUE), (503, "boom"), format!("{no_token}unexpected status code 503. Expected 200\n")),
        (
            (200, CATALOGUE),
            (400, refused),
            format!(
                "{no_token}unexpected status code 400. Expected 200: Could not make a token (Request is not valid)\n* validFor: is odd\n"
            ),
        ),
    ] {
        let api = FakeApi::start(&[
            ("GET /catalogue", catalogue.0, catalogue.1),
            ("POST /below/tokens", tokens.0, tokens.1),
        ])
        .await;
        let ran =
            Kumactl::with(&api.address).run(&["generate", "dataplane-token", "--dataplane", "web-1"]).await;
        ran.expect(1, "", &expected);
    }
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_read_is_named() {
    let catalogue = r#"{"apis":{"dataplaneToken":{"localUrl":"https://127.0.0.1:1"}}}"#;
    let api = FakeApi::start(&[("GET /catalogue", 200, catalogue)]).await;
    let kumactl = Kumactl::with(&api.address);
    let credentials = "credentials: {dataplaneTokenApi: {clientCert: cert.pem, clientKey: key.pem}}";
    kumactl.write("c.yaml", &kumactl.config().replace("defaults: {mesh: pilot}", credentials));
    let arguments = ["generate", "dataplane-token", "--dataplane", "web-1", "--config-file", "c.yaml"];
    let prefix =
        "failed to create dataplane token client: could not configure tls for dataplane token client: ";

    let absent = kumactl.run(&arguments).await;
    absent.expect_error(1, &[prefix, "open key.pem: No such file or directory"]);
    kumactl.write("key.pem", "secret");
    kumactl.write("cert.pem", "nothing");
    let no_pem = kumactl.run(&arguments).await;
    no_pem.expect_error(1, &[prefix, "cert.pem and key.pem are no PEM certificate with its key"]);
    assert!(!no_pem.stderr.contains("secret"));
}
