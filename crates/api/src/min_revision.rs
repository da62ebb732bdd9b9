//! `Kuma-Min-Revision`: a request that wants to see at least what another answer has told of, wherever it is asked.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use store::{Revision, Store};

use crate::respond::{Refusal, title};

pub(crate) const NAME: HeaderName = HeaderName::from_static("kuma-min-revision");

/// How long a request waits for a revision that is not here yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns once this instance has the revision that is asked for, at once if none is.
pub(crate) async fn wait(store: &dyn Store, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut given = headers.get_all(NAME).iter();
    let Some(wanted) = given.next() else { return Ok(()) };
    let text = wanted.to_str().ok().filter(|_| given.next().is_none());
    let wanted: Revision = text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let details = "Kuma-Min-Revision is written as Kuma-Revision is: <8 hex digits>-<decimal>.";
        Refusal::bad_request(title::REQUEST, details)
    })?;
    let mut revisions = store.revisions();
    let here = store.present().revision();
    if wanted.epoch != here.epoch {
        let details = format!(
            "Revision {wanted} is of another store than this one, whose latest is {here}: read everything again."
        );
        return Err(Refusal::new(StatusCode::CONFLICT, title::REQUEST, details));
    }
    let arrived = revisions.wait_for(|number| *number >= wanted.number);
    if let Ok(Ok(_here)) = tokio::time::timeout(PATIENCE, arrived).await {
        return Ok(());
    }
    let details = format!("Revision {wanted} has not arrived here within {PATIENCE:?}. Try again.");
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, title::REQUEST, details))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use http::HeaderValue;
    use model::{Key, Mesh, Spec};
    use store::{MemoryStore, Transaction, Write};

    use super::*;

    #[tokio::test]
    async fn a_request_goes_on_as_soon_as_the_revision_is_here() {
        let store = MemoryStore::new(0xabcd);
        let headers = HeaderMap::from_iter([(NAME, HeaderValue::from_static("0000abcd-1"))]);
        let mut waiting = pin!(wait(&store, &headers));
        assert!(waiting.as_mut().now_or_never().is_none());

        let write = Write::Put(Key::mesh("m"), std::sync::Arc::new(Spec::Mesh(Mesh::default())));
        let transaction = Transaction { writes: vec![write], ..Transaction::default() };
        store.commit(transaction).await.expect("memory takes it");
        assert!(waiting.await.is_ok());
    }
}
