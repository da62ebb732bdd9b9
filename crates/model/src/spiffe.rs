//! The identity of a service as its certificates carry it: a SPIFFE ID (<https://spiffe.io>), by Kuma 0.3.0's pattern
//! `spiffe://<mesh>/<service>`.
//!
//! The one place where it is written: certificates are made with it and checked against it, text against text.

use std::fmt::Write as _;

/// `spiffe://<mesh>/<service>`. What a URI cannot hold, and the characters that give it its parts, are percent-encoded, so
/// that two services never have one identity, and none that of a mesh.
pub fn spiffe_id(mesh: &str, service: &str) -> String {
    let mut id = spiffe_prefix(mesh);
    encode(service, &mut id);
    id
}

/// What the identities of a mesh, and of no other, begin with: `spiffe://<mesh>/`.
pub fn spiffe_prefix(mesh: &str) -> String {
    let mut id = "spiffe://".to_owned();
    encode(mesh, &mut id);
    id.push('/');
    id
}

/// The service whose identity in `mesh` this is: `None` for everything that [`spiffe_id`] does not write, letter for letter.
pub fn spiffe_service(mesh: &str, id: &str) -> Option<String> {
    let service = decode(id.strip_prefix(&spiffe_prefix(mesh))?)?;
    (spiffe_id(mesh, &service) == id).then_some(service)
}

fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if is_of_a_segment(byte) {
            to.push(char::from(byte));
        } else {
            write!(to, "%{byte:02X}").expect("writing into a String never fails");
        }
    }
}

fn decode(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            byte => byte,
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986, section 3.3: unreserved characters, sub-delimiters, `:` and `@`.
fn is_of_a_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_uri_and_no_two_services_share_one() {
        for (mesh, service, expected) in [
            ("default", "backend", "spiffe://default/backend"),
            ("mesh-1", "web_api.v2", "spiffe://mesh-1/web_api.v2"),
            ("m", "a/b", "spiffe://m/a%2Fb"),
            ("m", "a%2Fb", "spiffe://m/a%252Fb"),
            ("m", "gr\u{f6}\u{df}e x", "spiffe://m/gr%C3%B6%C3%9Fe%20x"),
            ("m", "a\nb", "spiffe://m/a%0Ab"),
            ("m", "", "spiffe://m/"),
        ] {
            assert_eq!(spiffe_id(mesh, service), expected);
            assert_eq!(spiffe_service(mesh, expected).as_deref(), Some(service), "{expected}");
        }
    }

    #[test]
    fn what_is_no_identity_of_the_mesh_names_no_service() {
        for id in [
            "spiffe://m2/web",
            "spiffe://m",
            "https://m/web",
            "spiffe://m/a/b",
            "spiffe://m/a b",
            "spiffe://m/%77eb",
            "spiffe://m/a%2fb",
            "spiffe://m/%FF",
            "spiffe://m/%4",
            "",
        ] {
            assert_eq!(spiffe_service("m", id), None, "{id}");
        }
    }

    #[test]
    fn the_identities_of_a_mesh_begin_with_its_prefix_and_those_of_others_do_not() {
        assert!(spiffe_id("m", "a").starts_with(&spiffe_prefix("m")));
        assert!(!spiffe_id("m2", "a").starts_with(&spiffe_prefix("m")));
        assert!(!spiffe_id("m", "2/a").starts_with(&spiffe_prefix("m/2")));
    }
}
