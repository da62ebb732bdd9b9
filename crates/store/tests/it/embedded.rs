use model::*;
use std::sync::Arc;
use store::*;
#[tokio::test]
async fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path().join("kuma.db");
    let s = EmbeddedStore::open(&p, 7).unwrap();
    let m = Key::mesh("default");
    let c = s
        .commit(Transaction {
            writes: vec![Write::Put(m.clone(), Arc::new(Spec::Mesh(Mesh::default())))],
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(c.outcomes, [Outcome::Created]);
    let a = s.present();
    drop(s);
    let s = EmbeddedStore::open(&p, 8).unwrap();
    assert_eq!(*a, *s.present());
    assert_eq!(s.present().list(Kind::Mesh, "default").count(), 1);
}
