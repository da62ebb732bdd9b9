//! Where the document's addresses hold as it prints them: a machine of the test's own, as far as the test can tell.

use std::{fs, path::Path};

use crate::documented::run;

/// Set where the test runs once more, on the machine that was made for it.
const THERE: &str = "E2E_DOCUMENT";

/// What the document's `curl` prints besides: the status and the headers, and no progress meter.
const CURLRC: &str = "silent\nshow-error\ninclude\n";

/// The document's collector of logs is `logstash.internal`.
const HOSTS: &str = "127.0.0.1 localhost logstash.internal\n";

pub(crate) fn is_there() -> bool {
    std::env::var_os(THERE).is_some()
}

/// Runs this test once more, with its own network, processes, `/tmp` and `/etc/hosts`. `test` is its full name.
pub(crate) async fn run_there(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".curlrc"), CURLRC).unwrap();
    fs::write(folder.path().join("hosts"), HOSTS).unwrap();
    let program = std::env::current_exe().unwrap();
    let output = run(&script(&program, test), folder.path()).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// The folder that it begins in becomes `/tmp`.
fn script(program: &Path, test: &str) -> String {
    let program = program.display();
    format!(
        "mount --bind . /tmp\n\
         mount --bind hosts /etc/hosts\n\
         cd /tmp\n\
         export HOME=/tmp TMPDIR=/tmp {THERE}=1\n\
         '{program}' --exact {test} --nocapture\n"
    )
}
