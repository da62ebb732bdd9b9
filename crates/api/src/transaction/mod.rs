//! `POST /transactions`: many writes, all or nothing, as one revision.
//!
//! All operations are judged before any is done, on a [`store::Rehearsal`], so that each sees those before it and everything
//! that is wrong comes back at once. What the verdict rests on goes along as preconditions: if another writer has changed
//! it in between, nothing is done.

mod judge;
mod read;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use model::{Key, Kind, Spec};
use serde_json::json;
use store::{Committed, Outcome, Present, Transaction, Write};

use crate::{
    Api,
    audit::Caller,
    negotiate,
    query::Query,
    read::{aside, body},
    respond::{Answer, JSON, Refusal, kuma_revision, title, with_body},
    warnings::warn,
    write::{self, DryRun},
};
use judge::Verdict;

/// The most operations of one transaction: as many as a folder of files has, and few enough that no other write waits long.
pub(crate) const OPERATIONS_MAX: usize = 1000;

pub(crate) async fn commit(
    api: &Arc<Api>,
    caller: Caller,
    headers: &HeaderMap,
    query: &Query,
    content: &mut Body,
) -> Result<Answer, Refusal> {
    let format = negotiate::content_type(headers, title::TRANSACTION)?;
    let dry_run = write::is_dry_run(query, title::TRANSACTION)?;
    let content = body(&api.limits, headers, content, title::TRANSACTION).await?;
    let (present, at_ms) = (api.store.present(), write::now_ms(api));
    let revision = present.revision();
    let judging =
        aside(title::TRANSACTION, move || judge::judge(read::operations(format, &content)?, &present, at_ms));
    let Verdict { writes, grounds, outcomes, rehearsal } = judging.await??;
    let put: Vec<(Key, Arc<Spec>)> = writes.iter().filter_map(what_is_put).collect();
    if dry_run == DryRun::Yes {
        let after = Arc::new(rehearsal.present().clone());
        return Ok(done(&Committed { revision, outcomes }, after, put).await);
    }

    let preconditions = grounds.iter().map(|ground| ground.precondition.clone()).collect();
    let transaction = Transaction { preconditions, writes, author: caller.who.to_owned(), at_ms };
    let committed = write::commit(api, caller, "POST", transaction, title::TRANSACTION).await?;
    let committed = committed.map_err(|failed| judge::overtaken(&failed, grounds))?;
    Ok(done(&committed, api.store.present(), put).await)
}

fn what_is_put(write: &Write) -> Option<(Key, Arc<Spec>)> {
    match write {
        Write::Put(key, spec) => Some((key.clone(), spec.clone())),
        Write::Delete(_) => None,
    }
}

/// `after` is the present in which all of it is done.
async fn done(committed: &Committed, after: Arc<Present>, put: Vec<(Key, Arc<Spec>)>) -> Answer {
    let results: Vec<&str> = committed.outcomes.iter().copied().map(Outcome::name).collect();
    let body = json!({"revision": committed.revision.to_string(), "results": results}).to_string();
    let mut answer = with_body(StatusCode::OK, JSON, body.into());
    kuma_revision(answer.headers_mut(), committed.revision);
    warn(answer.headers_mut(), after, put).await;
    answer
}

/// How many operations a body has, once all of them are read.
pub(crate) fn operations(format: negotiate::Format, body: &[u8]) -> Result<usize, Refusal> {
    Ok(read::operations(format, body)?.len())
}

/// For a type that there is not: those that there are.
fn names_of_kinds() -> String {
    Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}
