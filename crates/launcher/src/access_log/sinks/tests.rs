use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// For what should take milliseconds, on a machine that is busy.
const DEADLINE: Duration = Duration::from_mins(1);
const NEVER: Duration = Duration::from_hours(1);

struct Setup {
    folder: TempDir,
    metrics: Arc<Metrics>,
    sinks: Sinks,
}

fn setup(limits: Limits) -> Setup {
    let metrics = Arc::new(Metrics::new());
    let pipe = Identity::of("/dev/null").expect("it is there");
    let sinks = Sinks { limits, ..Sinks::new(pipe, &metrics) };
    Setup { folder: tempfile::tempdir().expect("a temporary folder"), metrics, sinks }
}

impl Setup {
    fn target(&self, name: &str) -> String {
        format!("file:{}", self.folder.path().join(name).display())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn take(&mut self, target: &str, line: &str) -> Result<(), Dropped> {
        self.sinks.take(target, line, Instant::now())
    }

    fn counted(&self, reason: Dropped, lines: usize) -> bool {
        let reason = reason.reason();
        let line = format!("kuma_dp_access_log_lines_dropped_total{{reason=\"{reason}\"}} {lines}\n");
        self.metrics.print().expect("it prints").contains(&line)
    }

    /// Waits until the sink has ended by itself.
    async fn until_it_ends(&mut self, target: &str) {
        let sink = self.sinks.by_target.get_mut(target).expect("it was made");
        timeout(DEADLINE, &mut sink.task).await.expect("it ends").expect("it does not panic");
    }
}

#[tokio::test]
async fn no_more_targets_than_the_bound_and_those_that_are_there_go_on() {
    let mut setup = setup(Limits { sinks: 2, ..LIMITS });
    let [one, two, three] = ["one", "two", "three"].map(|name| setup.target(name));
    assert_eq!(setup.take(&one, "a\n"), Ok(()));
    assert_eq!(setup.take(&two, "a\n"), Ok(()));
    assert_eq!(setup.take(&three, "a\n"), Err(Dropped::TooManyTargets));
    assert_eq!(setup.take("file:relative", "a\n"), Err(Dropped::BadTarget));
    assert_eq!(setup.take(&one, "b\n"), Ok(()));
    let (sinks, empty) = (setup.sinks, Sinks::new(Identity::of("/dev/null").expect("it is"), &setup.metrics));
    setup.sinks = empty;
    sinks.finish().await;
    assert_eq!(["one", "two", "three"].map(|name| setup.read(name)), ["a\nb\n", "a\n", ""]);
}

#[tokio::test]
async fn a_sink_that_gets_no_line_for_long_makes_room_and_comes_back_with_the_next() {
    let mut setup = setup(Limits { sinks: 1, idle: Duration::from_millis(1), ..LIMITS });
    for (name, line, expected) in [("one", "a\n", "a\n"), ("two", "b\n", "b\n"), ("one", "c\n", "a\nc\n")] {
        let target = setup.target(name);
        assert_eq!(setup.take(&target, line), Ok(()), "{name}");
        setup.until_it_ends(&target).await;
        assert_eq!(setup.read(name), expected);
    }
}

/// Else a target that nobody uses any more would be dialled for ever.
#[tokio::test]
async fn a_collector_that_never_answers_is_given_up_when_no_line_comes_any_more() {
    let mut setup = setup(Limits { idle: Duration::from_millis(1), ..LIMITS });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port is free");
    let target = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    for line in ["a\n", "b\n"] {
        assert_eq!(setup.take(&target, line), Ok(()));
    }
    setup.until_it_ends(&target).await;
    assert!(setup.counted(Dropped::Unreachable, 2));
}

#[tokio::test]
async fn a_connection_is_closed_when_no_line_comes_any_more() {
    let mut setup = setup(Limits { idle: Duration::from_millis(1), ..LIMITS });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port is free");
    let target = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    assert_eq!(setup.take(&target, "a\n"), Ok(()));
    let (mut connection, _) = timeout(DEADLINE, listener.accept()).await.expect("in time").expect("it comes");
    let mut all = String::new();
    timeout(DEADLINE, connection.read_to_string(&mut all)).await.expect("it ends").expect("it is read");
    assert_eq!(all, "a\n");
    setup.until_it_ends(&target).await;
}

/// A host that is gone without a word would otherwise be written to for a quarter of an hour (tcp(7), tcp_retries2), and one
/// that nothing is written to for ever.
#[tokio::test]
async fn a_connection_is_watched_by_the_kernel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let stream = tcp::dial("127.0.0.1", port).await.expect("it listens");
    let socket = socket2::SockRef::from(&stream);
    let limit = Duration::from_secs(30);
    assert_eq!(socket.tcp_user_timeout().expect("Linux knows it"), Some(limit));
    assert!(socket.keepalive().expect("Linux knows it"));
    assert_eq!(socket.tcp_keepalive_time().expect("Linux knows it"), limit);
}

#[tokio::test]
async fn what_has_not_been_written_at_the_end_is_counted_and_waited_for_no_longer() {
    let limits = Limits { bytes: 64 * 1024, last_words: Duration::from_millis(1), idle: NEVER, ..LIMITS };
    let mut setup = setup(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port is free");
    let target = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    let line = "x".repeat(32 * 1024 - 100) + "\n";
    assert_eq!(setup.take(&target, &line), Ok(()));
    let (_deaf, _) = timeout(DEADLINE, listener.accept()).await.expect("in time").expect("it comes");
    // Until neither the kernel nor the sink takes any more.
    let mut pushed = 1;
    while setup.counted(Dropped::Backlog, 0) {
        assert_eq!(setup.take(&target, &line), Ok(()));
        pushed += 1;
        tokio::task::yield_now().await;
    }
    let metrics = Arc::clone(&setup.metrics);
    timeout(DEADLINE, setup.sinks.finish()).await.expect("it waits for nobody");
    let printed = metrics.print().expect("it prints");
    let count = |begin: &str| -> usize {
        let count = printed.lines().find_map(|line| line.strip_prefix(begin));
        count.and_then(|count| count.trim().parse().ok()).expect("it is counted")
    };
    let delivered = count("kuma_dp_access_log_lines_total");
    let lost = count("kuma_dp_access_log_lines_dropped_total{reason=\"backlog\"}");
    assert_eq!(delivered + lost, pushed, "every line is counted once");
    assert!(lost > 1, "{printed}");
}

#[test]
fn what_does_not_fit_is_dropped_and_what_waits_is_kept() {
    let queue = Queue::new(3 * (4 + size_of::<usize>()));
    let now = Instant::now();
    for (line, expected) in [
        ("one\n", Push::Taken),
        ("two\n", Push::Taken),
        ("much too long\n", Push::Full),
        ("six\n", Push::Taken),
        ("ten\n", Push::Full),
    ] {
        assert_eq!(queue.push(line, now), expected, "{line}");
    }
    assert_eq!(queue.retire(), 3);
    assert_eq!(queue.push("one\n", now), Push::Retired);
}

#[tokio::test]
async fn what_was_taken_and_not_settled_is_lost_with_the_sink() {
    let queue = Queue::new(1000);
    for line in ["one\n", "two\n", "three\n"] {
        queue.push(line, Instant::now());
    }
    assert_eq!(queue.next(NEVER).await, queue::Work::Write(batch::batch(&["one\n", "two\n", "three\n"])));
    queue.push("four\n", Instant::now());
    queue.settle(2);
    assert_eq!(queue.retire(), 2);
}

#[test]
fn the_path_of_the_pipe_is_not_what_counts() {
    let identity = |path: &Path| Identity::of(path.to_str().expect("it is UTF-8")).expect("it is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "").expect("the folder is ours");
    fs::hard_link(&file, &link).expect("the folder is ours");
    assert_eq!(identity(&file), identity(&link));
    assert_ne!(identity(&file), identity(folder.path()));
}
