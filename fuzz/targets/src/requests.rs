//! What stands before a body: the path, the query, the headers.

use std::net::IpAddr;

use api::fuzzing as api;
use store::Revision;

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const PATH: Target = Target {
    name: "path",
    check: path,
    seeds: &[
        "/",
        "/meshes/default",
        "/meshes/demo/dataplanes/web-1/",
        "/meshes/d%65mo/dataplanes+insights/a%2Fb",
        "/meshes/demo/dataplane%2Binsights",
        "/meshes/demo/trafficpermissions/%C3%A9",
        "/meshes/demo/traffic-routes/x",
        "/meshes/demo/dataplanes/a%2Fb/%78ds",
        "/dataplane-insights",
        "/transactions",
        "/openapi.json",
        "//",
    ],
};

pub(crate) const QUERY: Target = Target {
    name: "query",
    check: query,
    seeds: &[
        "tag=service:web&tag=version%3A1",
        "size=10&offset=20&name=w%26b&tag=a+b:c%20d",
        "dryRun=true&watch=false&since=0000abcd-7",
        "size=99999999999999999999",
        "tag=a:b:c&tag=&=&&",
    ],
};

pub(crate) const IF_MATCH: Target = Target {
    name: "if_match",
    check: if_match,
    seeds: &["*", "\"0000abcd-7\"", "\"x\", W/\"0000abcd-7\",", "0000abcd-7", "\"0000abcd-07\""],
};

pub(crate) const ACCEPT: Target = Target {
    name: "accept",
    check: accept,
    seeds: &[
        "application/json",
        "text/html, application/yaml;q=0.9, */*;q=0.8",
        "application/*;q=0.001, application/yaml;q=1.000",
        "APPLICATION/JSON; charset=utf-8;q=0",
    ],
};

pub(crate) const HOST: Target = Target {
    name: "host",
    check: host,
    seeds: &[
        "localhost:5681",
        "127.0.0.1",
        "[::1]:5681",
        "[::ffff:127.0.0.1]",
        "[::01]",
        "evil.example",
        "u@localhost",
    ],
};

pub(crate) const REVISION: Target = Target {
    name: "revision",
    check: revision,
    seeds: &["00c0ffee-42", "ffffffff-18446744073709551615", "0000abcd-0", "+0c0ffee-42"],
};

const CURRENT: Revision = Revision { epoch: 0xabcd, number: 7 };

/// A path that names something names the same in its canonical form.
fn path(input: &[u8]) {
    let Ok(path) = std::str::from_utf8(input) else { return };
    match api::path(path) {
        Ok(None) => {}
        Ok(Some(canonical)) => {
            assert!(canonical.starts_with('/') && canonical.is_ascii(), "{canonical}");
            assert_eq!(api::path(&canonical), Ok(Some(canonical.clone())), "{path}");
            let slashed = format!("{}/", canonical.trim_end_matches('/'));
            assert_eq!(api::path(&slashed), Ok(Some(canonical)), "a trailing slash changes nothing");
        }
        Err(error) => assert_fit_to_be_shown(&error, input),
    }
}

/// The link to a page asks for that page, with the same filters.
fn query(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let Some(tags) = api::query_tags(query) else { return };
    assert!(tags.values().all(|value| !value.contains(':')));
    match api::query_page(query) {
        Ok(None) => {}
        Ok(Some(page)) => {
            assert_eq!(api::query_page(&page), Ok(Some(page.clone())), "{query}");
            assert_eq!(api::query_tags(&page), Some(tags), "{query}");
        }
        Err(error) => assert_fit_to_be_shown(&error, input),
    }
}

/// Only a tag that is the entity's, or `*`, lets a write through.
fn if_match(input: &[u8]) {
    let Some(is_met) = api::if_match(input, Some(CURRENT)) else { return };
    let text = String::from_utf8_lossy(input);
    let tag = format!("\"{CURRENT}\"");
    if is_met {
        assert!(text.contains(&tag) || text.trim() == "*", "{text:?} is met by {tag}");
    }
    let is_met_by_nothing = api::if_match(input, None).expect("it was a header before");
    assert!(!is_met_by_nothing || text.trim() == "*", "{text:?} is met by nothing");
    let printable = input.iter().all(|byte| (b' '..=b'~').contains(byte));
    let with_tag = api::if_match(format!("{text},{tag}").as_bytes(), Some(CURRENT));
    assert!(!printable || with_tag == Some(true), "{text:?} hides {tag}");
}

/// How a list is spread over headers does not matter (RFC 9110, section 5.3).
fn accept(input: &[u8]) {
    let Some(together) = api::accepted(&[input]) else { return };
    let printable = input.iter().all(|byte| (b' '..=b'~').contains(byte));
    if printable && !input.is_empty() {
        let apart: Vec<&[u8]> = input.split(|byte| *byte == b',').collect();
        assert_eq!(api::accepted(&apart), Some(together), "{:?}", String::from_utf8_lossy(input));
    }
}

/// Without a name of its own, a control plane answers to this machine alone.
fn host(input: &[u8]) {
    if api::is_loopback(input) != Some(true) {
        return;
    }
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    let host = text.rsplit_once('@').map_or(&*text, |(_user, host)| host);
    let address = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _port)) => address,
        None => host.split_once(':').map_or(host, |(address, _port)| address),
    };
    let is_ours = match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => address.trim_end_matches('.') == "localhost",
    };
    assert!(is_ours, "{text:?}");
}

/// Of one revision there is one text.
fn revision(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Revision>() {
        Ok(revision) => assert_eq!(revision.to_string(), text),
        Err(error) => assert_fit_to_be_shown(&error.to_string(), input),
    }
}
