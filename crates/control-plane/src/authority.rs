//! Who may open an xDS stream: the holder of a dataplane token, for its own Dataplane, in a mesh that is there, and for as
//! long as the token holds. Refusals are logged by the server, which limits their rate.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use identity::{DataplaneClaims, LEEWAY, TokenError, TokenId};
use model::ProxyId;
use plan::Announced;
use tracing::info;
use xds::{Authority, Node, Refusal};

use crate::{
    admissions::{Admissions, AdmittedFeed},
    feed::{Feed, Planner},
    record::Recorder,
    token_keys::StoredTokenKeys,
};

/// As many streams as one Dataplane may have: two proxies, and what a proxy that flaps leaves half-open. So one token does
/// not take everybody's connections.
const STREAMS_OF_ONE: usize = 16;

pub struct Streams {
    pub token_keys: Arc<StoredTokenKeys>,
    pub admissions: Arc<Admissions>,
    pub planner: Arc<Planner>,
    pub recorder: Arc<Recorder>,
}

/// Who has brought a token that holds.
#[derive(Debug)]
pub struct Peer {
    claims: DataplaneClaims,
    token: TokenId,
}

impl Authority for Streams {
    type Peer = Peer;
    type Subscriber = AdmittedFeed;

    fn authenticate(&self, authorization: Option<&str>, _: SocketAddr) -> Result<Peer, Refusal> {
        let Some(token) = authorization else {
            let sentence = "a dataplane token is required, and only one: make it with `kumactl generate dataplane-token` \
                            and give it to kuma-dp with --dataplane-token-file";
            return Err(Refusal::Unauthenticated(sentence.to_owned()));
        };
        let keyring = self.token_keys.keyring();
        let claims = keyring.verify_dataplane(token, SystemTime::now()).map_err(refusal)?;
        let token = keyring.token_id(token).map_err(refusal)?;
        Ok(Peer { claims, token })
    }

    async fn subscribe(&self, peer: Peer, node: &Node) -> Result<AdmittedFeed, Refusal> {
        let Peer { claims: peer, token } = peer;
        let proxy: ProxyId = node.id.parse().map_err(|error| {
            Refusal::InvalidArgument(format!("the node id {:?} is not <mesh>.<name>: {error}", node.id))
        })?;
        if *proxy.mesh != *peer.mesh || *proxy.name != *peer.name {
            return Err(Refusal::PermissionDenied(format!(
                "the token is of Dataplane {} in mesh {}, the node is {}; give each Dataplane its own token",
                peer.name, peer.mesh, node.id
            )));
        }
        if !self.planner.registry.published().world.knows_mesh(&proxy.mesh) {
            return Err(Refusal::NotFound(format!("there is no mesh {}; apply it first", proxy.mesh)));
        }
        let open = self.planner.live_streams.of(&proxy).len();
        if open >= STREAMS_OF_ONE {
            return Err(Refusal::Unavailable(format!(
                "{open} streams of {} are open, more than there can be proxies of one Dataplane",
                node.id
            )));
        }
        let admission = self.admissions.admit(token).map_err(refusal)?;
        info!(mesh = %proxy.mesh, name = %proxy.name, envoy = %node.version, "a proxy connected");
        let subscription = self.recorder.open(&proxy);
        let expires = expiry(&peer);
        let announced = Announced::new(&node.version, &node.metadata);
        let feed = Feed::new(self.planner.clone(), proxy, announced, subscription, expires);
        Ok(AdmittedFeed::new(feed, admission, expires))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
fn refusal(error: TokenError) -> Refusal {
    Refusal::Unauthenticated(error.to_string())
}

/// When a stream that this token has opened ends. A token without an end holds for ever.
fn expiry(claims: &DataplaneClaims) -> Option<tokio::time::Instant> {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp?))?.checked_add(LEEWAY)?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::Instant::now().checked_add(left)
}
