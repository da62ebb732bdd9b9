//! What is asked of an operation: well and badly, as its description suggests.

use std::fmt;

use serde_json::{Value, json};

use super::contract::{Contract, Operation};

/// Which server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// One that can do everything.
    Able,
    /// One that is read-only and gives out no tokens.
    ReadOnly,
    /// One that waits for no body.
    Hurried,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    There,
    Deleted,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) of: Of,
    /// Whether what it is about is there.
    pub(super) before: Before,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// The statuses that are right; any that is no refusal, if there is none.
    pub(super) status: Option<u16>,
}

/// What everything that is asked is about.
pub(super) struct Subject {
    path: String,
    /// The same, of nobody.
    path_of_nobody: String,
    body: Option<Value>,
}

impl Subject {
    /// Of the example of the operation's type; of a Dataplane, where there is none.
    pub(super) fn of(contract: &Contract, operation: Operation<'_>) -> Self {
        let schemas = &contract.document["components"]["schemas"];
        let type_name = operation.described["tags"][0].as_str().expect("it has a tag");
        let example = |type_name: &str| schemas[type_name]["examples"].get(0).cloned();
        let example = example(type_name).or_else(|| example("Dataplane")).expect("a kind has its example");
        let text = |field: &str| example[field].as_str().unwrap_or_default().to_owned();
        let path = |name: &str| operation.path.replace("{mesh}", &text("mesh")).replace("{name}", name);
        // What is in no path but by its mesh is not there where the mesh is not.
        let path_of_nobody = if operation.path.ends_with("/certificate-authorities") {
            operation.path.replace("{mesh}", "nobody")
        } else {
            path("nobody").replace("{kid}", "nobody").replace("{id}", "nobody")
        };
        Self { path: path(&text("name")), path_of_nobody, body: body(operation, &example) }
    }
}

fn body(operation: Operation<'_>, example: &Value) -> Option<Value> {
    let of_dataplane = || json!({"mesh": example["mesh"], "name": example["name"]});
    match (operation.method, operation.path) {
        ("PUT", _) => Some(example.clone()),
        ("POST", "/transactions") => {
            let delete = json!({"op": "delete", "type": "TrafficLog", "mesh": "mesh-1", "name": "nobody"});
            Some(json!({"operations": [{"op": "put", "resource": example}, delete]}))
        }
        ("POST", "/tokens" | "/bootstrap") => Some(of_dataplane()),
        ("POST", "/tokens/revocations") => Some(json!({"jti": "01234567-89ab-cdef-0123-456789abcdef"})),
        ("POST", "/tokens/keys") => None,
        ("POST", path) if path.contains("/certificate-authorities") => None,
        ("POST", other) => panic!("what does one post to {other}?"),
        _ => None,
    }
}

/// Everything that is asked of one operation. Each status is brought about wherever it is described.
pub(super) fn requests(contract: &Contract, operation: Operation<'_>) -> Vec<Request> {
    let subject = Subject::of(contract, operation);
    let good = || Request::new(&subject);
    let mut requests = vec![
        good(),
        good().with("kuma-min-revision", "nonsense").expecting(400),
        good().with("kuma-min-revision", "0000abce-1").expecting(409),
        good().with("host", "evil.example").expecting(421),
    ];
    let takes = |parameter| contract.takes(operation, parameter);
    let described = Contract::statuses(operation);
    if takes("watch") {
        requests.extend([
            good().asking("watch=maybe").expecting(400),
            good().asking("watch=true&size=1").expecting(400),
            good().asking("watch=true&since=nonsense").expecting(400),
            good().asking("watch=true&since=0000abce-1").expecting(410),
            good().asking("watch=true").with("last-event-id", "0000abce-1").expecting(410),
            good().asking("watch=true").with("accept", "application/json").expecting(406),
        ]);
    }
    if takes("size") {
        requests.extend([
            good().asking("size=1"),
            good().asking("size=1000&offset=1&name=a&tag=service:*"),
            good().asking("name=-&tag=version:2.0"),
            good().asking("name=nobody"),
            good().asking("size=0").expecting(400),
            good().asking("offset=-1").expecting(400),
        ]);
    }
    if takes("dryRun") {
        requests.extend([good().asking("dryRun=true"), good().asking("dryRun=perhaps").expecting(400)]);
    }
    if takes("force") {
        requests.extend([good().asking("force=true"), good().asking("force=perhaps").expecting(400)]);
    }
    if takes("full") {
        requests.extend([good().asking("full=true"), good().asking("full=perhaps").expecting(400)]);
    }
    if takes("If-Match") {
        requests.push(good().with("if-match", "\"0000abcd-0\"").expecting(412));
        requests.push(good().with("if-none-match", "*").expecting(412));
        requests.push(good().with("if-match", "*"));
    }
    let content = &contract.response(operation, 200).expect("it can be done")["content"];
    if content.get("application/yaml").is_some() {
        requests.push(good().with("accept", "application/yaml"));
    }
    for status in described {
        requests.extend(brought_about(operation, &subject, status));
    }
    if subject.body.is_some() {
        requests
            .extend(["", "{", "[]", r#"{"unforeseen":1}"#].map(|body| good().sending(body).expecting(400)));
    }
    requests
}

/// What brings about a status, where that takes no parameter.
fn brought_about(operation: Operation<'_>, subject: &Subject, status: u16) -> Option<Request> {
    let good = || Request::new(subject);
    let of_nobody = |mut request: Request| {
        subject.path_of_nobody.clone_into(&mut request.path);
        request
    };
    let request = match (status, operation.path) {
        (201, _) => Request { before: Before::Deleted, ..good() },
        (304, _) => good().with("if-none-match", "*"),
        (403, _) => good().with("origin", "http://evil.example"),
        (404, "/tokens") | (405, _) => good().of(Of::ReadOnly),
        (404, "/bootstrap") => good().sending(r#"{"mesh":"mesh-1","name":"nobody"}"#),
        (404, _) => of_nobody(good()),
        (406, _) => good().with("accept", "text/html"),
        (408, _) => good().announcing("1").of(Of::Hurried),
        (412, "/transactions") => {
            let delete = json!({"op": "delete", "type": "Mesh", "name": "mesh-1", "ifMatch": "0000abcd-0"});
            good().sending(&json!({"operations": [delete]}).to_string())
        }
        (413, _) => good().announcing("100000000"),
        (415, _) => good().with("content-type", "text/plain"),
        _ => return None,
    };
    Some(request.expecting(status))
}

impl Request {
    fn new(subject: &Subject) -> Self {
        let body = subject.body.as_ref().map(Value::to_string);
        Self {
            of: Of::Able,
            before: Before::There,
            path: subject.path.clone(),
            headers: Vec::new(),
            body,
            status: None,
        }
    }

    fn of(self, of: Of) -> Self {
        Self { of, ..self }
    }

    fn expecting(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    fn asking(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn sending(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    /// A body of so many bytes, which never comes.
    fn announcing(self, bytes: &str) -> Self {
        let announced = self.with("content-type", "application/json").with("content-length", bytes);
        Self { body: None, ..announced }
    }

    /// Whether this is a status that it should have.
    pub(super) fn is_right(&self, status: u16) -> bool {
        self.status.map_or(status < 300, |right| right == status)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, before, path, headers, body, .. } = self;
        write!(f, "{path} {headers:?} {body:?} of the server that is {of:?}, {before:?}")
    }
}
