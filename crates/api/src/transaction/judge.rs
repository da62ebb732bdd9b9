//! Whether a transaction may be done, and everything that is wrong with it.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use model::{Key, Kind, Scope, Violation, Violations};
use store::{Outcome, Precondition, Present, Rehearsal, Write};

use super::{
    names_of_kinds,
    read::{Operation, Resource},
};
use crate::{
    conditions::Condition,
    respond::{Refusal, title},
};

/// What is to be written, what the verdict rests on, what will become of each write, and what there is after them all.
pub(super) struct Verdict {
    pub(super) writes: Vec<Write>,
    pub(super) grounds: Vec<Ground>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) rehearsal: Rehearsal,
}

/// What a verdict rests on.
pub(super) struct Ground {
    pub(super) precondition: Precondition,
    /// What is to be said, and with which status, when it does not hold any more.
    status: StatusCode,
    violation: Violation,
}

/// 400 with every violation of every operation; 412 when nothing but conditions stands against it.
pub(super) fn judge(operations: Vec<Operation>, present: &Present, at_ms: u64) -> Result<Verdict, Refusal> {
    let mut judging = Judging {
        present,
        touched: BTreeSet::new(),
        violations: Violations::default(),
        unmet: Violations::default(),
        verdict: Verdict {
            writes: Vec::new(),
            grounds: Vec::new(),
            outcomes: Vec::new(),
            rehearsal: Rehearsal::new(present, at_ms),
        },
    };
    for (i, operation) in operations.into_iter().enumerate() {
        judging.operation(&format!("operations[{i}]"), operation);
    }
    let Judging { mut violations, unmet, verdict, .. } = judging;
    if violations.is_empty() && unmet.is_empty() {
        return Ok(verdict);
    }
    let status =
        if violations.is_empty() { StatusCode::PRECONDITION_FAILED } else { StatusCode::BAD_REQUEST };
    violations.extend(unmet);
    Err(refusal(status, violations))
}

/// What has changed between the verdict and the commit.
pub(super) fn overtaken(failed: &Precondition, grounds: Vec<Ground>) -> Refusal {
    let found = grounds.into_iter().find(|ground| ground.precondition == *failed);
    let status = found.as_ref().map_or(StatusCode::PRECONDITION_FAILED, |ground| ground.status);
    refusal(status, Violations(found.map(|ground| ground.violation).into_iter().collect()))
}

fn refusal(status: StatusCode, causes: Violations) -> Refusal {
    let details = match status {
        StatusCode::PRECONDITION_FAILED => CHANGED,
        _ => "Transaction is not valid",
    };
    Refusal { causes, ..Refusal::new(status, title::TRANSACTION, details) }
}

const CHANGED: &str = "A resource is no longer what its condition says: read it again and decide anew.";
const UNMET: &str = "the resource is no longer what the condition says";

fn mesh_not_found(mesh: &str) -> String {
    format!("mesh of name {mesh} is not found")
}

struct Judging<'a> {
    /// As it is before the transaction.
    present: &'a Present,
    /// What operations so far have written.
    touched: BTreeSet<Key>,
    violations: Violations,
    unmet: Violations,
    verdict: Verdict,
}

impl Judging<'_> {
    fn operation(&mut self, path: &str, operation: Operation) {
        match operation.op.as_str() {
            "put" => self.put(path, operation),
            "delete" => self.delete(path, operation),
            _ => self.violations.add(format!("{path}.op"), "has to be put or delete"),
        }
    }

    fn put(&mut self, path: &str, operation: Operation) {
        let beside = [("type", &operation.kind), ("mesh", &operation.mesh), ("name", &operation.name)];
        for (field, _) in beside.iter().filter(|(_, given)| given.is_some()) {
            self.violations.add(format!("{path}.{field}"), "is for a delete; a put has it in its resource");
        }
        let path_of_resource = format!("{path}.resource");
        let document = match operation.resource {
            Some(Resource::Read(document)) => document,
            Some(Resource::OfNoKind) => return self.no_kind(&format!("{path_of_resource}.type")),
            None => return self.violations.add(path_of_resource, "has to be set"),
        };
        let mut spec = document.spec;
        let envelope = &document.envelope;
        let kind = spec.kind();
        let within = |violations: Violations| {
            violations.into_iter().map(|mut violation| {
                violation.field = format!("{path_of_resource}.{}", violation.field);
                violation
            })
        };
        let misnamed = envelope.check(kind, &envelope.mesh, &envelope.name);
        let is_named = misnamed.is_empty();
        self.violations.extend(within(misnamed));
        spec.set_defaults();
        self.violations.extend(within(plan::check(&spec)));
        if !is_named {
            return;
        }
        let key = Key::new(kind, envelope.mesh.as_str(), envelope.name.as_str());
        self.mesh_exists(&path_of_resource, &key);
        self.condition(path, &key, operation.if_match.as_deref());
        self.write(Write::Put(key, Arc::new(spec)));
    }

    fn delete(&mut self, path: &str, operation: Operation) {
        if operation.resource.is_some() {
            self.violations.add(format!("{path}.resource"), "is for a put; a delete has type, mesh and name");
        }
        let Some(kind) = Kind::from_name(operation.kind.as_deref().unwrap_or_default()) else {
            return self.no_kind(&format!("{path}.type"));
        };
        let mesh = operation.mesh.filter(|_| kind.scope() == Scope::Mesh);
        let is_in_mesh = kind.scope() == Scope::Global || mesh.as_ref().is_some_and(|mesh| !mesh.is_empty());
        let name = operation.name.filter(|name| !name.is_empty());
        if !is_in_mesh {
            self.violations.add(format!("{path}.mesh"), "cannot be empty");
        }
        let Some(name) = name else { return self.violations.add(format!("{path}.name"), "cannot be empty") };
        let key = Key::new(kind, mesh.unwrap_or_default(), name);
        self.condition(path, &key, operation.if_match.as_deref());
        self.write(Write::Delete(key));
    }

    fn no_kind(&mut self, field: &str) {
        self.violations.add(field, format!("has to be one of {}", names_of_kinds()));
    }

    fn mesh_exists(&mut self, path: &str, key: &Key) {
        if key.kind.scope() == Scope::Global {
            return;
        }
        let mesh = Key::mesh(key.mesh.clone());
        let field = format!("{path}.mesh");
        if self.verdict.rehearsal.present().get(&mesh).is_none() {
            self.violations.add(field, mesh_not_found(&key.mesh));
        } else if !self.touched.contains(&mesh) {
            let violation = Violation { field, message: mesh_not_found(&key.mesh) };
            let precondition = Precondition::Exists(mesh);
            self.rests_on(Ground { precondition, status: StatusCode::BAD_REQUEST, violation });
        }
    }

    fn condition(&mut self, path: &str, key: &Key, if_match: Option<&str>) {
        let Some(condition) = if_match.map(Condition::parse) else { return };
        let field = format!("{path}.ifMatch");
        let before = self.present.revision().number;
        let holds = match self.verdict.rehearsal.present().get(key) {
            // Its next revision is not known, so no tag can be of what an operation before has made.
            Some(entry) if entry.revision.number > before => condition == Condition::Any,
            entry => condition.holds(entry.map(|entry| entry.revision)),
        };
        if !holds {
            return self.unmet.add(field, UNMET);
        }
        // What an operation before has made of it follows from what it was before them all.
        let precondition = match self.present.get(key) {
            Some(_) if condition == Condition::Any && !self.touched.contains(key) => {
                Precondition::Exists(key.clone())
            }
            Some(entry) => Precondition::At(key.clone(), entry.revision),
            None => Precondition::Absent(key.clone()),
        };
        let violation = Violation { field, message: UNMET.to_owned() };
        self.rests_on(Ground { precondition, status: StatusCode::PRECONDITION_FAILED, violation });
    }

    fn rests_on(&mut self, ground: Ground) {
        let known = self.verdict.grounds.iter().any(|known| known.precondition == ground.precondition);
        if !known {
            self.verdict.grounds.push(ground);
        }
    }

    fn write(&mut self, write: Write) {
        self.touched.insert(write.key().clone());
        self.verdict.outcomes.push(self.verdict.rehearsal.write(write.clone()));
        self.verdict.writes.push(write);
    }
}

#[cfg(test)]
mod tests {
    use model::{Mesh, Spec};
    use store::{MemoryStore, Store, StoreError, Transaction};

    use super::*;
    use crate::{negotiate::Format, transaction::read};

    async fn commit(store: &MemoryStore, writes: Vec<Write>) {
        let transaction = Transaction { writes, ..Transaction::default() };
        store.commit(transaction).await.expect("nothing stands against it");
    }

    fn mesh(name: &str, address: &str) -> Write {
        let mut mesh = Mesh::default();
        mesh.tracing.get_or_insert_default().zipkin.get_or_insert_default().address = address.to_owned();
        Write::Put(Key::mesh(name), Arc::new(Spec::Mesh(mesh)))
    }

    /// Judges on meshes `m` and `n`, last changed at revision 1; then another writer comes first.
    async fn overtaken_by(operations: &str, other: Write) -> (u16, Vec<String>) {
        let store = MemoryStore::new(0xabcd);
        commit(&store, vec![mesh("m", ""), mesh("n", "")]).await;
        let body = format!(r#"{{"operations": [{operations}]}}"#);
        let operations = read::operations(Format::Json, body.as_bytes()).expect("it can be read");
        let verdict = judge(operations, &store.present(), 0).expect("it may be done");
        commit(&store, vec![other]).await;
        let preconditions = verdict.grounds.iter().map(|ground| ground.precondition.clone()).collect();
        let transaction = Transaction { preconditions, writes: verdict.writes, ..Transaction::default() };
        match store.commit(transaction).await {
            Ok(committed) => (200, committed.outcomes.iter().map(|it| it.name().to_owned()).collect()),
            Err(StoreError::Precondition(failed)) => {
                let refusal = overtaken(&failed, verdict.grounds);
                (refusal.status.as_u16(), refusal.causes.into_iter().map(|it| it.field).collect())
            }
            Err(error) => panic!("memory is there: {error}"),
        }
    }

    #[tokio::test]
    async fn what_another_writer_has_overtaken_is_said_of_the_operation_that_rests_on_it() {
        let permission = r#"{"op": "put", "resource": {"type": "TrafficPermission", "mesh": "m", "name": "p",
            "sources": [{"match": {"service": "*"}}], "destinations": [{"match": {"service": "*"}}]}}"#;
        let put_m = r#"{"op": "put", "resource": {"type": "Mesh", "name": "m"}}"#;
        let put_n_if = r#"{"op": "put", "ifMatch": "0000abcd-1", "resource": {"type": "Mesh", "name": "n"}}"#;
        let delete_n_if = r#"{"op": "delete", "ifMatch": "*", "type": "Mesh", "name": "n"}"#;
        let delete = |name: &str| Write::Delete(Key::mesh(name));
        for (operations, other, expected) in [
            (format!("{permission}, {put_m}"), delete("m"), (400, vec!["operations[0].resource.mesh"])),
            (format!("{put_m}, {put_n_if}"), mesh("n", "x"), (412, vec!["operations[1].ifMatch"])),
            (format!("{put_m}, {delete_n_if}"), delete("n"), (412, vec!["operations[1].ifMatch"])),
            (format!("{put_m}, {delete_n_if}"), mesh("n", "x"), (200, vec!["configured", "deleted"])),
            (put_m.to_owned(), delete("m"), (200, vec!["created"])),
        ] {
            let (status, fields) = overtaken_by(&operations, other).await;
            assert_eq!((status, fields.iter().map(String::as_str).collect()), expected, "{operations}");
        }
    }

    #[test]
    fn no_tag_is_of_what_the_transaction_itself_has_made() {
        let store = MemoryStore::new(0xabcd);
        let body = r#"{"operations": [{"op": "put", "resource": {"type": "Mesh", "name": "m"}},
            {"op": "delete", "ifMatch": "0000abcd-1", "type": "Mesh", "name": "m"}]}"#;
        let operations = read::operations(Format::Json, body.as_bytes()).expect("it can be read");
        let refusal = judge(operations, &store.present(), 0).err().expect("it may not be done");
        assert_eq!(refusal.status, StatusCode::PRECONDITION_FAILED);
    }
}
