//! A disk that is full, by a file that may not grow.

use std::num::NonZeroU32;

use store::{EmbeddedOptions, EmbeddedStore, Store, StoreError, Transaction, Write};

use crate::fixtures::{EPOCH, commit, dataplane, delete, insight, mesh, put, reopen, transaction};

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let options = EmbeddedOptions { max_pages: NonZeroU32::new(64), ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open_with(&path, EPOCH, options).unwrap();
    commit(&store, [put(&mesh("m"), 1), put(&dataplane("m", "first"), 1)]).await;

    let mut accepted = 0;
    let refused = loop {
        match store.commit(transaction([put(&mesh("m"), accepted), large(accepted)])).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 64, "64 pages cannot hold it");
    };
    let said = refused.to_string();
    assert!(matches!(refused, StoreError::Unavailable(_)) && said.contains("is full"), "{said}");
    assert!(accepted > 3, "{accepted}");

    let before = store.present();
    assert_eq!(
        before.get(&mesh("m")).unwrap().spec,
        crate::fixtures::spec(&mesh("m"), accepted - 1),
        "all or nothing"
    );
    let huge = vec![0; 1 << 20];
    assert!(matches!(
        store.put_secret_if_absent("global", "ca", huge).await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(store.secret("global", "ca"), None);
    assert_eq!(*store.present(), *before, "it is read as ever");

    for number in 0..accepted {
        commit(&store, [delete(&dataplane("m", &number.to_string()))]).await;
    }
    commit(&store, [put(&mesh("m"), 1_000)]).await;
    store.put_insights(vec![(dataplane("m", "first"), insight(1))]).await.unwrap();
    let present = store.present();
    assert_eq!(*store.revisions().borrow(), present.revision().number);
    drop(store);
    assert_eq!(*reopen(&path).present(), *present);
}

/// A Dataplane of some pages.
fn large(number: u32) -> Write {
    let key = dataplane("m", &number.to_string());
    let service = "x".repeat(12_000);
    let json = format!(r#"{{"networking":{{"outbound":[{{"service":"{service}"}}]}}}}"#);
    let spec = key.kind.read_spec(&mut serde_json::Deserializer::from_str(&json)).unwrap();
    Write::Put(key, spec.into())
}

#[tokio::test]
async fn an_answer_waits_for_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { max_pages: NonZeroU32::new(32), ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open_with(&folder.path().join("kuma.db"), EPOCH, options).unwrap();
    let too_much: Vec<Write> = (0..64).map(large).collect();
    // Whether both fall into one batch is up to the threads: either way the second may not see what was not kept.
    let absent = Transaction {
        preconditions: vec![store::Precondition::Exists(dataplane("m", "0"))],
        ..transaction([put(&mesh("m"), 1)])
    };
    let (first, second) = tokio::join!(store.commit(transaction(too_much)), store.commit(absent));
    assert!(matches!(first, Err(StoreError::Unavailable(_))));
    assert!(second.is_err());
    assert_eq!(store.present().revision().number, 0);
}
