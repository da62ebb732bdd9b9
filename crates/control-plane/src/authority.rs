//! Who may open an xDS stream: the holder of a dataplane token, for its own Dataplane, in a mesh that is there, and for as
//! long as the token holds. Refusals are logged by the server, which limits their rate.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use identity::{DataplaneClaims, Keyring, LEEWAY};
use model::ProxyId;
use tracing::info;
use xds::{Authority, Node, Refusal};

use crate::{
    feed::{Feed, Planner},
    record::Recorder,
};

pub struct Streams {
    pub keyring: Arc<Keyring>,
    pub planner: Arc<Planner>,
    pub recorder: Arc<Recorder>,
}

impl Authority for Streams {
    type Peer = DataplaneClaims;
    type Subscriber = Feed;

    fn authenticate(&self, authorization: Option<&str>, _: SocketAddr) -> Result<DataplaneClaims, Refusal> {
        let Some(token) = authorization else {
            let sentence = "a dataplane token is required, and only one: make it with `kumactl generate dataplane-token` \
                            and give it to kuma-dp with --dataplane-token-file";
            return Err(Refusal::Unauthenticated(sentence.to_owned()));
        };
        let verdict = self.keyring.verify_dataplane(token, SystemTime::now());
        verdict.map_err(|error| Refusal::Unauthenticated(error.to_string()))
    }

    async fn subscribe(&self, peer: DataplaneClaims, node: &Node) -> Result<Feed, Refusal> {
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
        info!(mesh = %proxy.mesh, name = %proxy.name, envoy = %node.version, "a proxy connected");
        let subscription = self.recorder.open(&proxy);
        Ok(Feed::new(self.planner.clone(), proxy, subscription, expiry(&peer)))
    }
}

/// When a stream that this token has opened ends. A token without an end holds for ever.
fn expiry(claims: &DataplaneClaims) -> Option<tokio::time::Instant> {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp?))?.checked_add(LEEWAY)?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::Instant::now().checked_add(left)
}
