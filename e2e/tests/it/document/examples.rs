//! The requests as Kuma 0.3.0's HTTP API document prints them, and what it prints of their answers.
//!
//! Their bodies are the files of `bodies`, under the names by which the requests ask for them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

/// What the document shows of one kind.
#[derive(Debug)]
pub(crate) struct Examples {
    /// What `put` sends, and `get` gets.
    body: &'static str,
    put: &'static str,
    get: &'static str,
    pub(crate) list: &'static str,
    delete: &'static str,
}

pub(crate) const MESH: Examples = Examples {
    body: "mesh.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1 --data @mesh.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1",
    list: "curl http://localhost:5681/meshes",
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1",
};

pub(crate) const DATAPLANE: Examples = Examples {
    body: "dataplane.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1/dataplanes/backend-1 --data @dataplane.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1/dataplanes/backend-1",
    list: "curl http://localhost:5681/meshes/mesh-1/dataplanes",
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1/dataplanes/backend-1",
};

/// One overview, and the list: as the document prints the requests, and with the paths of its headings.
pub(crate) const OVERVIEWS: [(&str, &str); 2] = [
    (
        "curl http://localhost:5681/meshes/default/dataplanes+insights/example",
        "curl http://localhost:5681/meshes/default/dataplanes+insights",
    ),
    (
        "curl http://localhost:5681/meshes/default/dataplane+insights/example",
        "curl http://localhost:5681/meshes/default/dataplane+insights/",
    ),
];

pub(crate) const PROXY_TEMPLATE: Examples = Examples {
    body: "proxytemplate.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1/proxytemplates/pt-1 --data @proxytemplate.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1/proxytemplates/pt-1",
    list: "curl http://localhost:5681/meshes/mesh-1/proxytemplates",
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1/proxytemplates/pt-1",
};

pub(crate) const TRAFFIC_PERMISSION: Examples = Examples {
    body: "trafficpermission.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1/traffic-permissions/tp-1 --data @trafficpermission.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1/traffic-permissions/tp-1",
    list: "curl http://localhost:5681/meshes/mesh-1/traffic-permissions",
    // The document deletes `pt-1`, which is not there.
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1/traffic-permissions/pt-1",
};

/// The heading above that PUT names this path.
pub(crate) const PUT_WITHOUT_HYPHEN: &str = "curl -XPUT http://localhost:5681/meshes/mesh-1/trafficpermissions/tp-1 --data @trafficpermission.json -H'content-type: application/json'";

pub(crate) const TRAFFIC_LOG: Examples = Examples {
    body: "trafficlog.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1/traffic-logs/tl-1 --data @trafficlog.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1/traffic-logs/tl-1",
    list: "curl http://localhost:5681/meshes/mesh-1/traffic-logs",
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1/traffic-logs/tl-1",
};

pub(crate) const TRAFFIC_ROUTE: Examples = Examples {
    body: "trafficroute.json",
    put: "curl -XPUT http://localhost:5681/meshes/mesh-1/traffic-routes/web-to-backend --data @trafficroute.json -H'content-type: application/json'",
    get: "curl http://localhost:5681/meshes/mesh-1/traffic-routes/web-to-backend",
    list: "curl http://localhost:5681/meshes/mesh-1/traffic-routes",
    delete: "curl -XDELETE http://localhost:5681/meshes/mesh-1/traffic-routes/web-to-backend",
};

impl Examples {
    /// PUTs it twice, GETs it and lists it. The answer to the first PUT.
    pub(crate) async fn create_and_read(&self) -> Answer {
        self.is_gone().await;
        let created = curl(self.put).await;
        assert_eq!((created.status, created.body.as_str()), (201, ""), "{}", self.put);
        let updated = curl(self.put).await;
        assert_eq!((updated.status, updated.body.as_str()), (200, ""), "{}", self.put);

        let body = body(self.body);
        let got = curl(self.get).await;
        assert_eq!((got.status, got.json()), (200, body.clone()), "{}", self.get);
        let listed = curl(self.list).await;
        assert_eq!((listed.status, listed.json()), (200, json!({"items": [body]})), "{}", self.list);
        created
    }

    /// As the document prints it.
    pub(crate) async fn delete(&self) {
        let deleted = curl(self.delete).await;
        assert_eq!((deleted.status, deleted.body.as_str()), (200, ""), "{}", self.delete);
    }

    pub(crate) async fn is_gone(&self) {
        assert_eq!(curl(self.get).await.status, 404, "{}", self.get);
    }
}

/// An answer, as curl prints it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(field, value)| (field == name).then_some(value))
    }
}

/// Runs a command line as a reader of the document would, beside its files.
pub(crate) async fn curl(command: &str) -> Answer {
    let output = Command::new("bash").args(["-c", command]).current_dir(bodies()).output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    let (head, body) = printed.split_once("\r\n\r\n").expect("curl includes the head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a head begins with the status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// One of the document's, by the name of its file.
pub(crate) fn body(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(bodies().join(file)).unwrap()).unwrap()
}

fn bodies() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "it", "document", "bodies"].iter().collect()
}
