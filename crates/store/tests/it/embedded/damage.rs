//! Bytes that are not what was written: a clear error, or a state that once was; never a panic, never other content.

use std::{fs, path::Path};

use store::{EmbeddedStore, Present, Store, TokenChange};

use crate::fixtures::{EPOCH, NOT_NEW, commit, dataplane, delete, insight, mesh, put, reopen, route};

/// A prime, so that every kind of place in a page is hit.
const STRIDE: usize = 101;

/// Of the file, in bytes: SQLite's default.
const PAGE: usize = 4096;

#[tokio::test]
async fn a_flipped_byte_is_noticed_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let store = written(&path).await;
    let present = store.present();
    let secrets = store.secrets("global");
    drop(store);

    let bytes = fs::read(&path).unwrap();
    let anywhere = (0..bytes.len()).step_by(STRIDE).map(|at| (at, 0x41));
    // How many rows a page has: one more or less, and everything that is still there is as it was.
    let row_counts = (1..bytes.len() / PAGE).map(|page| (page * PAGE + 4, 0x01));
    let mut noticed = 0;
    for (at, bits) in anywhere.chain(row_counts) {
        let mut damaged = bytes.clone();
        damaged[at] ^= bits;
        restore(&path, &damaged);
        match EmbeddedStore::open(&path, NOT_NEW) {
            Err(error) => {
                assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
                noticed += 1;
            }
            Ok(store) => {
                // Free space, or the numbers that clients compare: the epoch, the revision, where history begins.
                assert!(
                    contents(&store.present()) == contents(&present),
                    "byte {at}: other content was read"
                );
                assert_eq!(store.secrets("global"), secrets, "byte {at}");
            }
        }
    }
    assert!(noticed > 50, "{noticed}");
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    drop(written(&path).await);

    let bytes = fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(1_000).chain([1, 99, 100, bytes.len() - 1]) {
        restore(&path, &bytes[..length]);
        let error = EmbeddedStore::open(&path, NOT_NEW).err();
        let said =
            error.unwrap_or_else(|| panic!("{length} bytes of {} were opened", bytes.len())).to_string();
        assert!(said.starts_with(&*path.to_string_lossy()), "{said}");
    }
}

/// The log is read up to its first frame whose checksum is wrong: a state that once was.
#[tokio::test]
async fn a_damaged_log_ends_at_an_earlier_revision() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let log = folder.path().join("kuma.db-wal");
    let store = reopen_new(&path);
    let mut states = vec![store.present()];
    for content in 1..=6 {
        commit(&store, [put(&route("m", "web"), content), put(&route("m", "api"), content)]).await;
        states.push(store.present());
    }
    let (file_bytes, log_bytes) = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    drop(store);

    let flipped = (0..log_bytes.len()).step_by(STRIDE * 17).map(|at| {
        let mut damaged = log_bytes.clone();
        damaged[at] ^= 0x41;
        damaged
    });
    let cut = (0..log_bytes.len()).step_by(STRIDE * 17).map(|length| log_bytes[..length].to_vec());
    for damaged in flipped.chain(cut) {
        restore(&path, &file_bytes);
        fs::write(&log, &damaged).unwrap();
        let present = reopen(&path).present();
        let number = usize::try_from(present.revision().number).unwrap();
        assert_eq!(*present, *states[number]);
    }
}

/// Some of everything, in more than one page.
async fn written(path: &Path) -> EmbeddedStore {
    let store = reopen_new(path);
    commit(&store, [put(&mesh("m"), 1)]).await;
    for number in 0..40 {
        let key = dataplane("m", &format!("web-{number}"));
        commit(&store, [put(&key, number), put(&route("m", &number.to_string()), number)]).await;
        store.put_insights(vec![(key, insight(number))]).await.unwrap();
    }
    commit(&store, [delete(&dataplane("m", "web-7"))]).await;
    store.put_secret_if_absent("global", "ca", vec![7; 64]).await.unwrap();
    store.put_first_token_key("0badcafe", vec![7; 64]).await.unwrap();
    for number in 0..10 {
        let revoke = TokenChange::Revoke { jti: format!("{number}").repeat(36), exp: Some(number) };
        store.change_tokens(revoke, 0).await.unwrap();
    }
    store
}

fn reopen_new(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, EPOCH).unwrap()
}

fn restore(path: &Path, bytes: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let beside = format!("{}{suffix}", path.display());
        if fs::exists(&beside).unwrap() {
            fs::remove_file(beside).unwrap();
        }
    }
    fs::write(path, bytes).unwrap();
}

fn contents(present: &Present) -> Vec<String> {
    let resources =
        present.iter().map(|(key, entry)| format!("{key} {} {:?}", entry.revision.number, entry.json));
    let insights = present.insights().map(|(key, insight)| format!("{key} {insight:?}"));
    let tokens = present.tokens();
    let keys =
        tokens.keys().into_iter().map(|(kid, key)| format!("{kid} {} {:?}", key.since, key.sealed.to_vec()));
    let revocations = tokens.revocations().map(|(jti, revocation)| format!("{jti} {revocation:?}"));
    let tokens: Vec<_> = keys.chain(revocations).collect();
    resources.chain(insights).chain(tokens).collect()
}
