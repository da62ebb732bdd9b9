//! Whether a transaction may be done, and everything that is wrong with it.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use model::{Key, Kind, Scope, Violations};
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
    pub(super) preconditions: Vec<Precondition>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) rehearsal: Rehearsal,
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
            preconditions: Vec::new(),
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
    let (status, details) = if violations.is_empty() {
        (StatusCode::PRECONDITION_FAILED, CHANGED)
    } else {
        (StatusCode::BAD_REQUEST, "Transaction is not valid")
    };
    violations.extend(unmet);
    Err(Refusal { causes: violations, ..Refusal::new(status, title::TRANSACTION, details) })
}

/// What has changed between the verdict and the commit, said of the first operation that rests on it.
pub(super) fn overtaken(failed: &Precondition, keys: &[Key]) -> Refusal {
    let (Precondition::Exists(key) | Precondition::Absent(key) | Precondition::At(key, _)) = failed;
    let mut causes = Violations::default();
    if let Some(i) = keys.iter().position(|written| written == key) {
        causes.add(format!("operations[{i}].ifMatch"), UNMET);
        return Refusal {
            causes,
            ..Refusal::new(StatusCode::PRECONDITION_FAILED, title::TRANSACTION, CHANGED)
        };
    }
    for (i, _) in keys.iter().enumerate().filter(|(_, written)| written.mesh == key.name) {
        causes.add(format!("operations[{i}].resource.mesh"), mesh_not_found(&key.name));
    }
    Refusal::invalid(title::TRANSACTION, "Transaction is not valid", causes)
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
        if self.verdict.rehearsal.present().get(&mesh).is_none() {
            self.violations.add(format!("{path}.mesh"), mesh_not_found(&key.mesh));
        } else if !self.touched.contains(&mesh) {
            self.rests_on(Precondition::Exists(mesh));
        }
    }

    fn condition(&mut self, path: &str, key: &Key, if_match: Option<&str>) {
        let Some(condition) = if_match.map(Condition::parse) else { return };
        let current = self.verdict.rehearsal.present().get(key).map(|entry| entry.revision);
        if !condition.holds(current) {
            return self.unmet.add(format!("{path}.ifMatch"), UNMET);
        }
        // What an operation before has made of it follows from what it was before them all.
        self.rests_on(match self.present.get(key) {
            Some(_) if condition == Condition::Any && !self.touched.contains(key) => {
                Precondition::Exists(key.clone())
            }
            Some(entry) => Precondition::At(key.clone(), entry.revision),
            None => Precondition::Absent(key.clone()),
        });
    }

    fn rests_on(&mut self, precondition: Precondition) {
        if !self.verdict.preconditions.contains(&precondition) {
            self.verdict.preconditions.push(precondition);
        }
    }

    fn write(&mut self, write: Write) {
        self.touched.insert(write.key().clone());
        self.verdict.outcomes.push(self.verdict.rehearsal.write(write.clone()));
        self.verdict.writes.push(write);
    }
}
