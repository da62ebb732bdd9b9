//! The lines of TrafficLogs reach their files, and whatever is wrong with one file holds up nothing else.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{sleep, timeout};

use crate::access_log::Mesh;
use crate::kuma_dp::DEADLINE;
use crate::metrics::metrics_at_socket;

/// How often a file is looked at, which has no event that a test could wait for.
const PACE: Duration = Duration::from_millis(5);

/// The line of the pipe with a text for a target, as Envoy writes it.
pub(crate) fn entry(target: &str, text: &str) -> String {
    json!({ "target": target, "text": format!("{text}\n") }).to_string()
}

pub(crate) fn dropped(reason: &str, lines: usize) -> String {
    format!(r#"kuma_dp_access_log_lines_dropped_total{{reason="{reason}"}} {lines}"#)
}

pub(crate) fn delivered(lines: usize) -> String {
    format!("kuma_dp_access_log_lines_total {lines}")
}

impl Mesh {
    /// The target of a file beside kuma-dp's folder.
    pub(crate) fn file(&self, name: &str) -> (PathBuf, String) {
        let path = self.home.path(name);
        let target = format!("file:{}", path.display());
        (path, target)
    }

    pub(crate) async fn log(&self, target: &str, text: &str) {
        self.write(&entry(target, text)).await;
    }

    /// How many lines were dropped for that reason.
    pub(crate) async fn dropped(&self, reason: &str) -> usize {
        let metrics = metrics_at_socket(&self.home.path("config/metrics.sock")).await;
        let begin = format!("kuma_dp_access_log_lines_dropped_total{{reason=\"{reason}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&begin));
        count.and_then(|count| count.parse().ok()).expect("it is counted from the start")
    }

    /// Writes many lines as Envoy does, which waits while the pipe is full.
    pub(crate) async fn flood(&self, lines: String) {
        let pipe = self.home.path("config/access-log.fifo");
        let write = move || {
            let mut pipe = File::options().write(true).open(pipe).expect("the pipe is there");
            pipe.write_all(lines.as_bytes()).expect("kuma-dp reads");
        };
        timeout(DEADLINE, tokio::task::spawn_blocking(write))
            .await
            .expect("kuma-dp reads")
            .expect("it writes");
    }
}

pub(crate) async fn until_reads(path: &Path, expected: &str) {
    let reads = async {
        while fs::read_to_string(path).unwrap_or_default() != expected {
            sleep(PACE).await;
        }
    };
    let Ok(()) = timeout(DEADLINE, reads).await else {
        panic!("{} is {:?} and not {expected:?}", path.display(), fs::read_to_string(path));
    };
}

async fn until_it_exists(path: &Path) {
    let exists = async {
        while !path.exists() {
            sleep(PACE).await;
        }
    };
    timeout(DEADLINE, exists).await.unwrap_or_else(|_| panic!("{} is never made", path.display()));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_line_is_appended_as_it_is_to_a_file_that_others_cannot_read() {
    let mesh = Mesh::start().await;
    let (path, target) = mesh.file("access.log");
    mesh.log(&target, "one").await;
    mesh.log(&target, "a \"b\"\u{1b}\nc ü").await;
    until_reads(&path, "one\na \"b\"\u{1b}\nc ü\n").await;
    assert_eq!(mode(&path) & !0o640, 0, "{:o}", mode(&path));
    mesh.until_counted(&delivered(2)).await;

    let (theirs, target) = mesh.file("theirs.log");
    fs::write(&theirs, "before\n").expect("the folder is ours");
    fs::set_permissions(&theirs, Permissions::from_mode(0o604)).expect("it is ours");
    mesh.log(&target, "after").await;
    until_reads(&theirs, "before\nafter\n").await;
    assert_eq!(mode(&theirs), 0o604, "neither loosened nor tightened");
}

#[tokio::test]
async fn a_file_that_was_moved_removed_or_emptied_is_followed_without_a_signal() {
    let mesh = Mesh::start().await;
    let (path, target) = mesh.file("access.log");
    let moved = mesh.home.path("access.log.1");
    mesh.log(&target, "one").await;
    until_reads(&path, "one\n").await;
    fs::rename(&path, &moved).expect("it is ours");
    mesh.log(&target, "two").await;
    until_reads(&path, "two\n").await;
    until_reads(&moved, "one\n").await;
    fs::remove_file(&path).expect("it is ours");
    mesh.log(&target, "three").await;
    until_reads(&path, "three\n").await;
    // logrotate's `copytruncate`.
    File::create(&path).expect("it is ours");
    mesh.log(&target, "four").await;
    until_reads(&path, "four\n").await;
}

#[tokio::test]
async fn a_hangup_opens_a_file_anew_that_was_moved_though_no_line_comes() {
    let mesh = Mesh::start().await;
    let (path, target) = mesh.file("access.log");
    let moved = mesh.home.path("access.log.1");
    mesh.log(&target, "one").await;
    until_reads(&path, "one\n").await;
    fs::rename(&path, &moved).expect("it is ours");
    mesh.kuma_dp.signal(Signal::SIGHUP);
    until_it_exists(&path).await;
    mesh.log(&target, "two").await;
    until_reads(&path, "two\n").await;
    until_reads(&moved, "one\n").await;
}

/// It may be one that no TrafficLog names any more.
#[tokio::test]
async fn a_hangup_leaves_a_file_alone_that_failed_until_its_next_line() {
    let mut mesh = Mesh::start().await;
    let (path, target) = mesh.file("missing/access.log");
    mesh.log(&target, "lost").await;
    mesh.until_counted(&dropped("unwritable", 1)).await;
    fs::create_dir(mesh.home.path("missing")).expect("the folder is ours");
    mesh.kuma_dp.signal(Signal::SIGHUP);
    mesh.kuma_dp.line("the files of the access log are opened anew").await;
    // What a sink is to do it does before it ends.
    let said = mesh.end().await;
    assert!(!path.exists(), "{said}");
    assert!(!said.contains("works again"), "{said}");
}

/// What is wrong with a path, how that shows, and that nothing else feels it.
#[tokio::test]
async fn a_path_that_cannot_be_written_costs_its_own_lines_and_one_warning() {
    let mut mesh = Mesh::start().await;
    let good = mesh.file("good.log");
    let fifo = mesh.home.path("nobody-reads.fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("the folder is ours");
    fs::write(mesh.home.path("a-file"), "").expect("the folder is ours");
    let bad = [
        (mesh.file("missing/access.log").1, "make the folder"),
        (mesh.file("").1, "name a file"),
        (mesh.file("a-file/access.log").1, "name a file"),
        ("file:/dev/full".to_owned(), "make room"),
        (format!("file:{}", fifo.display()), "a pipe that nobody reads"),
    ];
    let mut expected = String::new();
    for round in 0..20 {
        let text = format!("secret {round}");
        let targets = bad.iter().map(|(target, _)| target).chain([&good.1]);
        mesh.flood(targets.map(|target| entry(target, &text) + "\n").collect()).await;
        expected.extend([text.as_str(), "\n"]);
    }
    until_reads(&good.0, &expected).await;
    mesh.until_counted(&dropped("unwritable", 20 * bad.len())).await;
    for (target, advice) in &bad {
        let warning = mesh.logged(&format!(r#""to":"{target}""#)).await;
        assert_eq!(
            (&warning["level"], &warning["reason"]),
            (&json!("warn"), &json!("unwritable")),
            "{warning}"
        );
        let message = warning["msg"].as_str().unwrap_or_default();
        assert!(
            message.contains("lines of the access log were lost: ") && message.contains(advice),
            "{warning}"
        );
    }
    let end = mesh.end().await;
    assert!(!end.contains("secret"), "nothing of a line is said:\n{end}");
    // One at once, one a minute, and one at the end.
    let warnings = end.matches("lines of the access log were lost").count();
    assert!(warnings < 10 * bad.len(), "not one for each of {} lines: {end}", 20 * bad.len());
}

#[tokio::test]
async fn a_path_that_can_be_written_at_last_gets_the_next_lines_and_that_is_said() {
    let mut mesh = Mesh::start().await;
    let (path, target) = mesh.file("missing/access.log");
    mesh.log(&target, "lost").await;
    mesh.until_counted(&dropped("unwritable", 1)).await;
    mesh.kuma_dp.line("lines of the access log were lost").await;
    fs::create_dir(mesh.home.path("missing")).expect("the folder is ours");
    mesh.log(&target, "kept").await;
    until_reads(&path, "kept\n").await;
    let again = mesh.logged("works again").await;
    assert_eq!((&again["level"], &again["to"]), (&json!("info"), &json!(target)), "{again}");
    mesh.until_counted(&delivered(1)).await;
}

#[tokio::test]
async fn what_is_no_target_is_refused_by_name() {
    let mut mesh = Mesh::start().await;
    let bad = ["file:access.log", "tcp:logs.test", "tcp:logs.test:http", "tcp:127.0.0.1:90000", "file:"];
    for target in bad.into_iter().chain(bad) {
        mesh.log(target, "secret").await;
    }
    mesh.until_counted(&dropped("bad_target", 2 * bad.len())).await;
    for target in bad {
        let warning = mesh.logged("a line of the access log was dropped").await;
        assert_eq!(warning["to"], target, "{warning}");
        let message = warning["msg"].as_str().unwrap_or_default();
        for needed in ["an absolute path", "a number from 1 to 65535"] {
            assert!(message.contains(needed), "{warning}");
        }
    }
    let end = mesh.end().await;
    assert!(!end.contains("secret"), "{end}");
    for target in bad {
        let held_back = format!(r#""suppressed":1,"to":"{target}"}}"#);
        assert!(end.contains(&held_back), "the second of {target} is said at the end: {end}");
    }
}

/// Else a text, which strangers have a part in, would come back as a line of its own, and lines choose files.
#[tokio::test]
async fn no_text_gets_back_into_the_pipe() {
    let mesh = Mesh::start().await;
    let (owned, target) = mesh.file("owned");
    let link = mesh.home.path("link");
    std::os::unix::fs::symlink(mesh.home.path("config/access-log.fifo"), &link).expect("the folder is ours");
    let pipe = mesh.file("config/access-log.fifo").1;
    for (lines, into) in [(1, &pipe), (2, &mesh.file("link").1)] {
        mesh.log(into, &entry(&target, "mine")).await;
        mesh.until_counted(&dropped("unwritable", lines)).await;
    }
    let _ = mesh.end().await;
    assert!(!owned.exists(), "a text chose a file");
}

#[tokio::test]
async fn standard_output_and_standard_error_are_files_too() {
    let mut mesh = Mesh::start().await;
    mesh.log("file:/dev/stderr", "to standard error").await;
    mesh.kuma_dp.line("to standard error").await;
    mesh.log("file:/dev/stdout", "to standard output").await;
    mesh.until_counted(&delivered(2)).await;
}

/// Fault: a container runtime that stops reading, and the next line of kuma-dp's own log stops all of it.
#[tokio::test]
async fn standard_error_that_nobody_reads_holds_up_neither_the_metrics_nor_other_files_nor_the_end() {
    let mesh = Mesh::start().await;
    // More than the pipe and the queue of its sink hold.
    mesh.flood((entry("file:/dev/stderr", &"x".repeat(1000)) + "\n").repeat(4000)).await;
    let (path, target) = mesh.file("behind.log");
    mesh.log(&target, "all is read").await;
    until_reads(&path, "all is read\n").await;
    assert!(mesh.dropped("backlog").await > 0, "else standard error is not full");
    for line in 0..20 {
        // Neither a folder nor a file: a warning of its own.
        mesh.log(&format!("file:/dev/null/{line}"), "lost").await;
    }
    mesh.log(&target, "and goes on").await;
    until_reads(&path, "all is read\nand goes on\n").await;
    mesh.until_counted(&dropped("unwritable", 20)).await;
    let Mesh { home, kuma_dp } = mesh;
    kuma_dp.signal(Signal::SIGTERM);
    let status = kuma_dp.end_unread().await;
    assert!(status.success() && home.path("terminated").exists(), "{status}");
}

/// As under systemd, whose journal is one.
#[tokio::test]
async fn standard_output_may_be_a_socket() {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let mesh = Mesh::start_with(|command| {
        command.stdout(OwnedFd::from(theirs));
    })
    .await;
    mesh.log("file:/dev/stdout", "to the journal").await;
    ours.set_nonblocking(true).expect("it is ours");
    let journal = tokio::net::UnixStream::from_std(ours).expect("there is a runtime");
    let mut lines = BufReader::new(journal).lines();
    let line = timeout(DEADLINE, lines.next_line()).await.expect("it comes").expect("it can be read");
    assert_eq!(line.as_deref(), Some("to the journal"));
}

#[tokio::test]
async fn what_waits_is_written_before_kuma_dp_ends() {
    // So few that a pipe holds them.
    const LINES: usize = 500;
    let mesh = Mesh::start().await;
    let (path, target) = mesh.file("access.log");
    // It must find the lines and the end of its Envoy at once.
    mesh.kuma_dp.signal(Signal::SIGSTOP);
    let texts: Vec<_> = (0..LINES).map(|line| line.to_string()).collect();
    mesh.flood(texts.iter().map(|text| entry(&target, text) + "\n").collect()).await;
    let Mesh { home, kuma_dp } = mesh;
    let _folder = home.crash_envoy();
    kuma_dp.signal(Signal::SIGCONT);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(7), "{stderr}");
    let written = fs::read_to_string(path).expect("it was made");
    assert!(written == texts.join("\n") + "\n", "lines are missing:\n{stderr}");
}
