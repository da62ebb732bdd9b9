//! A rehearsal says what a commit will do, and does nothing.

use store::{MemoryStore, Outcome, Rehearsal, Store, Write};

use crate::fixtures::{EPOCH, commit, delete, mesh, put, route};

#[tokio::test]
async fn a_rehearsal_has_the_outcomes_of_a_commit_and_no_effect() {
    let store = MemoryStore::new(EPOCH);
    commit(&store, [put(&mesh("m"), 1), put(&route("m", "r"), 1)]).await;
    let before = store.present();

    let writes: Vec<Write> = vec![
        put(&mesh("m"), 1),
        put(&route("m", "r"), 2),
        put(&route("m", "new"), 1),
        delete(&mesh("m")),
        delete(&route("m", "r")),
        put(&mesh("m"), 3),
    ];
    let mut rehearsal = Rehearsal::new(&before, 2_000);
    let rehearsed: Vec<Outcome> = writes.iter().map(|write| rehearsal.write(write.clone())).collect();
    assert_eq!(*store.present(), *before);

    let committed = commit(&store, writes).await;
    assert_eq!(rehearsed, committed.outcomes);
    let left = |present: &store::Present| {
        present.iter().map(|(key, entry)| (key.clone(), entry.spec.clone())).collect::<Vec<_>>()
    };
    assert_eq!(left(rehearsal.present()), left(&store.present()));
}
