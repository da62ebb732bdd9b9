//! A file that is closed and opened again, and one that cannot be opened.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rusqlite::Connection;
use store::{EmbeddedOptions, EmbeddedStore, HistoryGone, Retention, Store, TokenChange, mesh_secrets};

use crate::fixtures::{
    EPOCH, NOT_NEW, commit, dataplane, delete, insight, mesh, put, reopen, route, transaction,
};

#[tokio::test]
async fn what_is_reopened_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let store = EmbeddedStore::open(&path, EPOCH).unwrap();
    let (web, api) = (dataplane("m", "web"), dataplane("m", "api"));
    commit(&store, [put(&mesh("m"), 1), put(&web, 1), put(&api, 1), put(&route("m", "é\"\n"), 1)]).await;
    store.put_insights(vec![(web.clone(), insight(1)), (api.clone(), insight(2))]).await.unwrap();
    store.put_secret_if_absent(&mesh_secrets("m"), "ca", vec![0, 255]).await.unwrap();
    store.put_first_token_key("0badcafe", vec![1]).await.unwrap();
    commit(&store, [delete(&api), put(&web, 2)]).await;
    for change in [
        TokenChange::PutKey { kid: "00000001".into(), sealed: vec![0, 255] },
        TokenChange::Revoke { jti: "ends".into(), exp: Some(1_795_524_402) },
        TokenChange::Revoke { jti: "does not end".into(), exp: None },
        TokenChange::Revoke { jti: "ends beyond what a database can say".into(), exp: Some(u64::MAX) },
    ] {
        store.change_tokens(change, 0).await.unwrap();
    }
    let ca = mesh_secrets("m");
    store.replace_secret(&ca, "ca", vec![0, 255].into(), vec![255, 0]).await.unwrap().unwrap();
    let (present, changes) = (store.present(), store.changes(0));
    drop(store);

    let store = reopen(&path);
    assert_eq!(*store.present(), *present);
    assert_eq!(store.changes(0), changes);
    assert_eq!(store.present().deleted(&api), Some(2));
    assert_eq!(store.secret(&ca, "ca"), Some(vec![255, 0].into()));
    assert_eq!(*store.revisions().borrow(), 7);

    let next = commit(&store, [put(&api, 1)]).await;
    assert_eq!(next.revision.to_string(), "00c0ffee-8", "the epoch stays, the count goes on");
}

#[tokio::test]
async fn history_is_cut_by_age_and_by_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let retention = Retention { max_age_ms: 1_000, max_rows: 6, min_rows: 3 };
    let options = EmbeddedOptions { retention, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open_with(&path, EPOCH, options).unwrap();
    let web = route("m", "web");
    commit(&store, [put(&web, 1)]).await;
    commit(&store, [delete(&web)]).await;
    for content in 3..=8 {
        commit(&store, [put(&route("m", "api"), content)]).await;
    }
    assert_eq!(store.changes(1), Err(HistoryGone { oldest: 2, latest: 8 }), "six rows are kept");
    assert_eq!(store.changes(2).unwrap().len(), 6);
    assert_eq!(store.present().deleted(&web), None, "a tombstone goes with the row that set it");

    let mut later = transaction([put(&route("m", "api"), 9)]);
    later.at_ms += retention.max_age_ms + 1;
    store.commit(later).await.unwrap();
    assert_eq!(store.changes(5), Err(HistoryGone { oldest: 6, latest: 9 }), "but three however old");

    let present = store.present();
    drop(store);
    let rows: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM changes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 3);
    let store = EmbeddedStore::open_with(&path, NOT_NEW, options).unwrap();
    assert_eq!(store.changes(5), Err(HistoryGone { oldest: 6, latest: 9 }));
    assert_eq!(*store.present(), *present);
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let modes = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap());
        files.map(|file| file.metadata().unwrap().permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    let store = EmbeddedStore::open(&path, EPOCH).unwrap();
    commit(&store, [put(&mesh("m"), 1)]).await;
    assert_eq!(modes(), [0o600; 3], "the file, its log and its index");
    drop(store);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = reopen(&path);
    commit(&store, [put(&mesh("m"), 2)]).await;
    assert_eq!(modes(), [0o600; 3]);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let store = |name: &str, change: &str| {
        drop(EmbeddedStore::open(&at(name), EPOCH).unwrap());
        sql(&at(name), change);
    };

    store("newer", "PRAGMA user_version = 3");
    store("unknown schema", "PRAGMA user_version = -1");
    store("no table", "DROP TABLE secrets");
    store("no revision", "DELETE FROM meta WHERE key = 'revision'");
    store("revision", "UPDATE meta SET value = '-1' WHERE key = 'revision'");
    store("kind", "INSERT INTO resources VALUES ('Unicorn', 'm', 'x', 0, 0, 0, '{}', 0)");
    sql(&at("other program"), "CREATE TABLE t (x); PRAGMA application_id = 7");
    sql(&at("no program"), "CREATE TABLE t (x)");
    fs::write(at("text"), "kuma: yes\n".repeat(500)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("log alone-wal"), "x").unwrap();
    fs::create_dir(at("folder")).unwrap();

    for (name, expected) in [
        ("newer", "was written by a newer kuma-cp (schema 3, this one knows 2)"),
        ("unknown schema", "is damaged: there is no schema -1"),
        ("no table", "is damaged: no such table: secrets"),
        ("no revision", "is damaged: its table meta does not say at which epoch and revision it is"),
        ("revision", "is damaged: its table meta does not say at which epoch and revision it is"),
        ("kind", "is damaged: Unicorn m/x is of a kind that this version does not know"),
        ("other program", "is not a kuma-cp store"),
        ("no program", "is not a kuma-cp store"),
        ("text", "is not a kuma-cp store"),
        ("empty", "is damaged: it is empty"),
        ("log alone", "log alone-wal is there, but not the file itself; they go together"),
        ("folder", "cannot be opened: "),
        ("missing/kuma.db", "cannot be opened: No such file or directory"),
        ("text/kuma.db", "cannot be opened: Not a directory"),
    ] {
        let before = fs::read(at(name)).ok();
        let error =
            EmbeddedStore::open(&at(name), NOT_NEW).err().unwrap_or_else(|| panic!("{name} was opened"));
        let said = error.to_string();
        assert!(said.contains(expected) && said.starts_with(&*at(name).to_string_lossy()), "{name}: {said}");
        assert_eq!(fs::read(at(name)).ok(), before, "{name}");
    }
}

#[tokio::test]
async fn a_second_writer_is_noticed_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let first = EmbeddedStore::open(&path, EPOCH).unwrap();
    let second = reopen(&path);
    commit(&first, [put(&mesh("m"), 1)]).await;
    let refused = second.commit(transaction([put(&mesh("n"), 1)])).await.unwrap_err();
    assert!(refused.to_string().contains("another process has written"), "{refused}");
    assert_eq!(second.present().iter().count(), 0);

    commit(&first, [put(&mesh("m"), 2)]).await;
    let present = first.present();
    drop((first, second));
    assert_eq!(*reopen(&path).present(), *present);
}
