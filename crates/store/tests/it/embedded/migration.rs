//! A file that an older version has written.

use std::path::Path;

use rusqlite::Connection;
use store::{EmbeddedStore, Store, TokenChange};

use crate::fixtures::{NOT_NEW, dataplane, mesh, reopen};

fn schema_1(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database.execute_batch(include_str!("schema_1.sql")).unwrap();
    database
}

#[tokio::test]
async fn a_store_of_schema_1_opens_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let sealed: Vec<u8> = schema_1(&path)
        .query_row("SELECT sealed FROM secrets WHERE scope = 'token-keys'", [], |row| row.get(0))
        .unwrap();

    let store = reopen(&path);
    let present = store.present();
    assert_eq!(present.revision().to_string(), "92b3f643-4");
    let keys: Vec<_> = present.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, [mesh("default"), dataplane("default", "web")]);
    assert_eq!(present.deleted(&dataplane("default", "gone")), Some(4));
    assert_eq!(store.changes(0).unwrap().len(), 4);
    assert!(store.secret("control-plane-ca", "current").is_some());

    let tokens = present.tokens();
    let [(kid, key)] = tokens.keys()[..] else { panic!("{tokens:?}") };
    assert_eq!((&**kid, key.since, key.sealed.to_vec()), ("99d8e417", 0, sealed));
    assert_eq!(tokens.revocations().count(), 0);
    assert!(store.secrets("token-keys").is_empty(), "it is in one place only");

    // It is one of this version now, with all that belongs to it.
    let revoke = TokenChange::Revoke { jti: "a".into(), exp: None };
    store.change_tokens(revoke, 0).await.unwrap();
    let present = store.present();
    drop(store);
    assert_eq!(*reopen(&path).present(), *present);
}

#[test]
fn damage_is_found_before_it_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    schema_1(&path).execute_batch("UPDATE secrets SET sealed = X'00' WHERE scope = 'token-keys'").unwrap();
    let error = EmbeddedStore::open(&path, NOT_NEW).err().expect("it is not what was written").to_string();
    assert!(error.contains("the checksum of the secret 99d8e417 of token-keys is wrong"), "{error}");
    let version: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "nothing was done");
}
