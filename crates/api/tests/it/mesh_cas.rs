//! The certificate authorities of a mesh, which the server is told by the test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{Answering, Guard, MeshCaError, MeshCaInfo, MeshCaProxies, MeshCas};
use model::{Key, Timestamp};
use serde_json::{Value, json};
use store::{MemoryStore, Revision, Store};

use crate::{
    client::{ask, get, put},
    server::{EPOCH, Server},
};

const DATAPLANES: usize = 5;
const CONNECTED: usize = 3;
const MOST: usize = 3;

/// Keeps what it is told by the rules. Each mesh begins with a CA of which its three proxies have a certificate; of what is new,
/// one has heard, until [`CannedCas::all_follow`].
pub(crate) struct CannedCas {
    store: Arc<dyn Store>,
    meshes: Mutex<BTreeMap<String, Vec<MeshCaInfo>>>,
}

impl CannedCas {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, meshes: Mutex::default() }
    }

    /// Every proxy of the mesh trusts all CAs and has a certificate of the one that signs.
    fn all_follow(&self, mesh: &str) {
        for ca in self.lock().get_mut(mesh).into_iter().flatten() {
            let using = if ca.signs { CONNECTED } else { 0 };
            ca.proxies = MeshCaProxies { trusting: CONNECTED, using, ..ca.proxies };
        }
    }

    /// The id of one that can be made to sign, or retired, at once: the other one of the mesh signs.
    pub(crate) fn spare(&self, mesh: &str) -> String {
        self.lock().insert(mesh.to_owned(), vec![first(), ca(2)]);
        self.all_follow(mesh);
        "2".to_owned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<MeshCaInfo>>> {
        self.meshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_mesh<T>(
        &self,
        mesh: &str,
        work: impl FnOnce(&mut Vec<MeshCaInfo>) -> Result<T, MeshCaError>,
    ) -> Result<T, MeshCaError> {
        self.store.present().get(&Key::mesh(mesh)).ok_or(MeshCaError::NoSuchMesh)?;
        work(self.lock().entry(mesh.to_owned()).or_insert_with(|| vec![first()]))
    }

    fn revision(&self) -> Revision {
        Revision { number: 42, ..self.store.present().revision() }
    }

    fn change(
        &self,
        mesh: &str,
        id: &str,
        work: impl FnOnce(&mut Vec<MeshCaInfo>, usize) -> Result<(), MeshCaError>,
    ) -> Result<Revision, MeshCaError> {
        self.in_mesh(mesh, |cas| {
            let place = cas.iter().position(|ca| ca.id == id).ok_or(MeshCaError::NoSuchCa)?;
            work(cas, place)
        })?;
        Ok(self.revision())
    }
}

fn ca(number: usize) -> MeshCaInfo {
    MeshCaInfo {
        id: number.to_string(),
        signs: false,
        not_before: Timestamp { seconds: 1_767_225_600, nanos: 0 },
        not_after: Timestamp { seconds: 2_082_758_400, nanos: 0 },
        certificate_pem: format!("-----BEGIN CERTIFICATE-----\n{number}\n-----END CERTIFICATE-----\n"),
        proxies: MeshCaProxies { dataplanes: DATAPLANES, connected: CONNECTED, trusting: 1, using: 0 },
    }
}

fn first() -> MeshCaInfo {
    let first = ca(1);
    let proxies = MeshCaProxies { trusting: CONNECTED, using: CONNECTED, ..first.proxies };
    MeshCaInfo { signs: true, proxies, ..first }
}

impl MeshCas for CannedCas {
    fn list<'a>(&'a self, mesh: &'a str) -> Answering<'a, Vec<MeshCaInfo>> {
        Box::pin(async move { self.in_mesh(mesh, |cas| Ok(cas.clone())) })
    }

    fn add<'a>(&'a self, mesh: &'a str) -> Answering<'a, (MeshCaInfo, Revision)> {
        Box::pin(async move {
            let new = self.in_mesh(mesh, |cas| {
                if cas.len() == MOST {
                    return Err(MeshCaError::TooMany { most: MOST });
                }
                let youngest = cas.iter().filter_map(|ca| ca.id.parse::<usize>().ok()).max();
                let new = ca(youngest.unwrap_or_default() + 1);
                cas.push(new.clone());
                Ok(new)
            })?;
            Ok((new, self.revision()))
        })
    }

    fn sign_with<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision> {
        Box::pin(async move {
            self.change(mesh, id, |cas, place| {
                let MeshCaProxies { connected, trusting, .. } = cas[place].proxies;
                if guard == Guard::On && trusting < connected {
                    return Err(MeshCaError::NotTrustedYet { trusting, connected });
                }
                for (i, ca) in cas.iter_mut().enumerate() {
                    ca.signs = i == place;
                }
                Ok(())
            })
        })
    }

    fn retire<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision> {
        Box::pin(async move {
            self.change(mesh, id, |cas, place| {
                let MeshCaProxies { connected, using, .. } = cas[place].proxies;
                if cas[place].signs {
                    return Err(MeshCaError::Signs);
                }
                if guard == Guard::On && using > 0 {
                    return Err(MeshCaError::StillUsed { using, connected });
                }
                cas.remove(place);
                Ok(())
            })
        })
    }
}

const CAS: &str = "/meshes/demo/certificate-authorities";

async fn server_with_a_mesh() -> Server {
    let server = Server::start().await;
    assert_eq!(put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await.status, 201);
    server
}

#[tokio::test]
async fn a_ca_is_replaced_without_force_once_every_proxy_is_ready() {
    let server = server_with_a_mesh().await;
    let status = async |request: String| ask(server.address, &request, &[], None).await.status;
    let shown = async || -> Vec<Value> {
        let listed = get(server.address, CAS).await.json();
        let items = listed["items"].as_array().expect("it is a list").clone();
        items.iter().map(|ca| json!([ca["id"], ca["signs"], ca["proxies"]])).collect()
    };
    let proxies = |trusting: usize, using: usize| json!({"dataplanes": 5, "connected": 3, "trusting": trusting, "using": using});

    assert_eq!(shown().await, [json!(["1", true, proxies(3, 3)])]);
    assert_eq!(status(format!("POST {CAS}")).await, 200);
    assert_eq!(shown().await, [json!(["1", true, proxies(3, 3)]), json!(["2", false, proxies(1, 0)])]);
    assert_eq!(status(format!("POST {CAS}/2/signing")).await, 409);
    server.mesh_cas.all_follow("demo");
    assert_eq!(status(format!("POST {CAS}/2/signing")).await, 200);
    assert_eq!(status(format!("DELETE {CAS}/1")).await, 409);
    server.mesh_cas.all_follow("demo");
    assert_eq!(status(format!("DELETE {CAS}/1")).await, 200);
    assert_eq!(shown().await, [json!(["2", true, proxies(3, 3)])]);
}

#[tokio::test]
async fn of_a_read_only_control_plane_they_can_be_read_alone() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let server = Server::start_with(store, |api| api.read_only = Some("Use kubectl.".to_owned())).await;
    for (request, allow) in [
        (format!("POST {CAS}"), "GET, HEAD"),
        (format!("POST {CAS}/1/signing"), ""),
        (format!("DELETE {CAS}/1"), ""),
    ] {
        let reply = ask(server.address, &request, &[], None).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{request}");
        assert_eq!(reply.json()["details"], "Use kubectl.", "{request}");
    }
}

/// Answers everything with one error.
struct Failing(MeshCaError);

impl MeshCas for Failing {
    fn list<'a>(&'a self, _: &'a str) -> Answering<'a, Vec<MeshCaInfo>> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn add<'a>(&'a self, _: &'a str) -> Answering<'a, (MeshCaInfo, Revision)> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn sign_with<'a>(&'a self, _: &'a str, _: &'a str, _: Guard) -> Answering<'a, Revision> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn retire<'a>(&'a self, _: &'a str, _: &'a str, _: Guard) -> Answering<'a, Revision> {
        Box::pin(async { Err(self.0.clone()) })
    }
}

#[tokio::test]
async fn what_went_wrong_inside_is_not_told() {
    for (error, expected) in [
        (MeshCaError::Unavailable("/var/lib/kuma.db is full".to_owned()), 503),
        (MeshCaError::Internal("/var/lib/kuma.db is odd".to_owned()), 500),
    ] {
        let store = Arc::new(MemoryStore::new(EPOCH));
        let server = Server::start_with(store, |api| api.mesh_cas = Arc::new(Failing(error))).await;
        for request in [
            format!("GET {CAS}"),
            format!("POST {CAS}"),
            format!("POST {CAS}/1/signing"),
            format!("DELETE {CAS}/1"),
        ] {
            let reply = ask(server.address, &request, &[], None).await;
            assert_eq!(reply.status, expected, "{request}");
            assert!(!reply.body.contains("kuma.db"), "{request}: {}", reply.body);
        }
    }
}
