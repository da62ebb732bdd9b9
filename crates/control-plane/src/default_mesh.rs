//! The mesh that is there from the start.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use model::{Envelope, Key, Kind, Spec};
use store::{Precondition, Store, StoreError, Transaction, Write};

/// Kuma 0.3.0 made the mesh `default` at every start at which it was not there.
pub(crate) async fn apply_default_mesh(store: &dyn Store, configured: &str) -> anyhow::Result<()> {
    let configured = configured.trim();
    let source = if configured.is_empty() { "{name: default}" } else { configured };
    let document = serde_saphyr::with_deserializer_from_str(source, |from| Kind::Mesh.read_document(from))
        .context("defaults.mesh is not a Mesh")?;
    let name = if document.envelope.name.is_empty() { "default" } else { &document.envelope.name };
    let mut spec: Spec = document.spec;
    spec.set_defaults();
    let named = Envelope { kind: Kind::Mesh.name().to_owned(), name: name.to_owned(), mesh: String::new() };
    let mut violations = named.check(Kind::Mesh, name, name);
    violations.extend(spec.validate());
    if !violations.is_empty() {
        bail!("defaults.mesh is not valid: {violations}");
    }
    let key = Key::mesh(name);
    let transaction = Transaction {
        preconditions: vec![Precondition::Absent(key.clone())],
        writes: vec![Write::Put(key, Arc::new(spec))],
        author: "kuma-cp".to_owned(),
        at_ms: milliseconds(SystemTime::now()),
    };
    match store.commit(transaction).await {
        Ok(_) | Err(StoreError::Precondition(_)) => Ok(()),
        Err(error) => Err(error).context("the default mesh cannot be made"),
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
