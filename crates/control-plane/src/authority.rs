//! Who may open an xDS stream: the holder of a dataplane token, for its own Dataplane, in a mesh that is there.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use identity::{DataplaneClaims, Keyring};
use model::ProxyId;
use plan::Outcome;
use tracing::{info, warn};
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

    fn authenticate(
        &self,
        authorization: Option<&str>,
        from: SocketAddr,
    ) -> Result<DataplaneClaims, Refusal> {
        let Some(token) = authorization else {
            warn!(%from, "a stream was refused: it carries no dataplane token, or more than one");
            let sentence = "a dataplane token is required: make one with `kumactl generate dataplane-token` and give it to kuma-dp with --dataplane-token-file";
            return Err(Refusal::Unauthenticated(sentence.to_owned()));
        };
        self.keyring.verify_dataplane(token, SystemTime::now()).map_err(|error| {
            warn!(%from, reason = %error, "a stream was refused: its dataplane token does not hold");
            Refusal::Unauthenticated(error.to_string())
        })
    }

    async fn subscribe(&self, peer: DataplaneClaims, node: &Node) -> Result<Feed, Refusal> {
        let proxy: ProxyId = node.id.parse().map_err(|error| {
            Refusal::InvalidArgument(format!("the node id {:?} is not <mesh>.<name>: {error}", node.id))
        })?;
        if *proxy.mesh != *peer.mesh || *proxy.name != *peer.name {
            warn!(mesh = %peer.mesh, name = %peer.name, node = %proxy, "a stream was refused: its token is another Dataplane's");
            let sentence = format!(
                "the token is of Dataplane {} in mesh {}, the node is {}; give each Dataplane its own token",
                peer.name, peer.mesh, node.id
            );
            return Err(Refusal::PermissionDenied(sentence));
        }
        let world = self.planner.registry.published().world;
        if matches!(plan::plan(&world, &proxy).outcome, Outcome::NoMesh) {
            return Err(Refusal::NotFound(format!("there is no mesh {}; apply it first", proxy.mesh)));
        }
        info!(mesh = %proxy.mesh, name = %proxy.name, envoy = %node.version, "a proxy connected");
        let subscription = self.recorder.open(proxy.clone());
        Ok(Feed::new(self.planner.clone(), proxy, subscription))
    }
}
