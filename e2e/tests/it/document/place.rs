//! Where the document's addresses hold as it prints them: a machine of the test's own, as far as the test can tell.

use std::{fmt::Write as _, fs, path::Path};

use testbed::Programs;

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
    let output = run(&script(test), folder.path()).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// The folder that it begins in becomes `/tmp`.
fn script(test: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let mut script = String::new();
    for folder in kept_of_tmp(&program) {
        let _ = writeln!(script, "mkdir -p '{folder}'\nmount --bind '/tmp/{folder}' '{folder}'");
    }
    let _ = write!(
        script,
        "mount --rbind . /tmp\n\
         mount --bind hosts /etc/hosts\n\
         cd /tmp\n\
         export HOME=/tmp TMPDIR=/tmp {THERE}=1\n\
         '{}' --exact {test} --nocapture\n",
        program.display()
    );
    script
}

/// What the test needs of the real `/tmp`, for the workspace may lie there: folders, relative to it.
fn kept_of_tmp(program: &Path) -> Vec<String> {
    let programs = Programs::find().unwrap();
    let needed = [Path::new(env!("CARGO_MANIFEST_DIR")), program, &programs.kuma_cp, &programs.envoy];
    let folders = needed.into_iter().filter_map(Path::parent);
    folders.filter_map(|it| it.strip_prefix("/tmp").ok()).map(|it| it.display().to_string()).collect()
}
