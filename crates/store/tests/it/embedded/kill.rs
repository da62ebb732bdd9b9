//! kill -9 in the midst of writing: what was acknowledged is there, and of a transaction all or nothing.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use store::{EmbeddedStore, Store, TokenChange};
use tokio::task::JoinSet;

use crate::fixtures::{EPOCH, commit, put, reopen, route, spec};

const PATH_VARIABLE: &str = "KUMA_STORE_TEST_PATH";
const WRITERS: u32 = 8;
const REVOKER: &str = "revoker";
const ROUNDS: usize = 5;
const LINES_BEFORE_KILL: usize = 100;

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kuma.db");
    let mut before = 0;
    for _ in 0..ROUNDS {
        let Acknowledged { writes: acknowledged, revocations } = write_and_kill(&path);
        let store = reopen(&path);
        let present = store.present();
        let last = acknowledged.values().map(|(revision, _)| *revision).max().unwrap();
        assert!(present.revision().number >= last && last > before, "{last} after {before}");
        before = present.revision().number;

        let revoked = present.tokens();
        assert!(!revocations.is_empty());
        for (revision, jti) in &revocations {
            let kept = revoked.revocations().find(|(it, _)| ***it == **jti).map(|(_, it)| it.revision);
            assert_eq!(kept, Some(*revision), "{jti} was acknowledged");
        }
        for (writer, (_, content)) in &acknowledged {
            let [left, right] = pair(*writer);
            let entries = [&left, &right].map(|key| present.get(key).unwrap());
            assert_eq!(entries[0].revision, entries[1].revision, "both, or neither");
            // One more may have been kept, without an answer.
            let kept: Vec<u32> =
                (*content..content + 2).filter(|it| entries[0].spec == spec(&left, *it)).collect();
            assert_eq!(kept.len(), 1, "writer {writer} was told of {content}");
            assert_eq!(entries[1].spec, spec(&right, kept[0]));
        }
    }
}

struct Acknowledged {
    /// Of each writer the last revision that it was told of, and the content that it wrote.
    writes: BTreeMap<u32, (u64, u32)>,
    /// The tokens that were revoked, each at its revision.
    revocations: BTreeMap<u64, String>,
}

fn write_and_kill(path: &Path) -> Acknowledged {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "embedded::kill::writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Acknowledged { writes: BTreeMap::new(), revocations: BTreeMap::new() };
    let mut lines = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let whole = line.strip_prefix("acknowledged ").and_then(|line| line.strip_suffix('.'));
        let Some(numbers) = whole else { continue };
        let [writer, revision, content] = numbers.split(' ').collect::<Vec<_>>()[..] else { continue };
        let revision = revision.parse().unwrap();
        if writer == REVOKER {
            acknowledged.revocations.insert(revision, content.to_owned());
        } else {
            acknowledged.writes.insert(writer.parse().unwrap(), (revision, content.parse().unwrap()));
        }
        lines += 1;
        if lines == LINES_BEFORE_KILL {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(lines >= LINES_BEFORE_KILL, "the writer ended early");
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the process that what_was_acknowledged_survives_kill_9 starts and kills"]
async fn writes_until_it_is_killed() {
    let Some(path) = env::var_os(PATH_VARIABLE) else { return };
    let store = Arc::new(EmbeddedStore::open(Path::new(&path), EPOCH).unwrap());
    let start = u32::try_from(store.present().revision().number).unwrap() + 1;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for content in start.. {
                let revision =
                    commit(&*store, pair(writer).map(|key| put(&key, content))).await.revision.number;
                // One write call a line, past the test harness: a line that is there is whole and was acknowledged.
                let line = format!("acknowledged {writer} {revision} {content}.\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    for number in start.. {
        let jti = format!("token-{number}");
        let change = TokenChange::Revoke { jti: jti.clone(), exp: None };
        let revision = store.change_tokens(change, 0).await.unwrap().revision.number;
        let line = format!("acknowledged {REVOKER} {revision} {jti}.\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
    writers.join_all().await;
}

fn pair(writer: u32) -> [model::Key; 2] {
    ["left", "right"].map(|side| route("m", &format!("{writer}-{side}")))
}
