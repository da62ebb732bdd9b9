//! What a certificate authority of a mesh looks like.

use model::schema::{boolean, non_empty_text, object, requiring, time};
use serde_json::{Value, json};

pub(super) fn schema() -> Value {
    let proxies = object(
        "How far the proxies have got that need certificates. Without mTLS none does.",
        [
            ("dataplanes", count("How many Dataplanes there are for them.")),
            ("connected", count("Those that are connected.")),
            ("trusting", count("Of the connected, those that trust this authority.")),
            ("using", count("Of the connected, those that may still show a certificate that it has signed.")),
        ],
    );
    let pem = json!({
        "type": "string", "pattern": "^-----BEGIN CERTIFICATE-----", "description": "Its certificate, as PEM.",
    });
    let ca = object(
        "A certificate authority, whose certificates the proxies of the mesh trust.",
        [
            ("id", id()),
            ("signs", boolean("Whether new certificates are signed by it: of one authority of each mesh.")),
            ("notBefore", time("When its certificate begins to hold.")),
            ("notAfter", time("When its certificate ends.")),
            ("certificate", pem),
            ("proxies", requiring(proxies, ["dataplanes", "connected", "trusting", "using"])),
        ],
    );
    requiring(ca, ["id", "signs", "notBefore", "notAfter", "certificate", "proxies"])
}

pub(super) fn id() -> Value {
    non_empty_text("The id of a certificate authority; it never comes back.")
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}
