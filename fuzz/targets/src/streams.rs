//! What a client of xDS sends: gRPC's frames and the requests in them.

use xds::fuzzing::requests;

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const DISCOVERY_REQUESTS: Target = Target {
    name: "discovery_requests",
    check: discovery_requests,
    seeds: &[
        // Length-prefixed: a node with an id and a type, and a bare acknowledgement.
        "\0\0\0\0\x17\x0a\x09\x0a\x07demo.we\x12\x0atype.cds/x",
        "\0\0\0\0\x0b\x12\x03cds\x32\x01\x31\x1a\x01a\0\0\0\0\x05\x3a\x03\x12\x01x",
        "\0\0\0\0\0\0\0\0\0\0",
    ],
};

const MESSAGE_MAX_BYTES: usize = 4096;

/// Where a connection cuts its bytes does not matter.
fn discovery_requests(input: &[u8]) {
    let whole = requests(&[input], MESSAGE_MAX_BYTES);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(requests(&bytes, MESSAGE_MAX_BYTES), whole);
    let middle = input.first().map_or(0, |at| usize::from(*at) % input.len());
    let (before, after) = input.split_at(middle);
    assert_eq!(requests(&[before, &[], after], MESSAGE_MAX_BYTES), whole);
    if let Err(error) = whole {
        assert_fit_to_be_shown(&error, input);
    }
}
