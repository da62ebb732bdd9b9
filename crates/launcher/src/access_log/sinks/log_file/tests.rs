use std::io::Read;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use super::*;
use crate::access_log::sinks::batch::batch;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn log_file(path: &Path) -> LogFile {
    let forbidden = Identity::of("/dev/null").expect("it is there");
    LogFile { patience: Duration::from_millis(1), ..LogFile::new(path.to_owned(), forbidden) }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it is there")
}

#[test]
fn a_half_line_is_ended_before_the_next() {
    let folder = folder();
    let path = folder.path().join("pipe");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("the folder is ours");
    // With a reader that does not read, a pipe is what a disk is that becomes full in the middle of a line.
    let mut reader =
        File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).expect("ours");
    let mut file = log_file(&path);
    let long = "x".repeat(40_000) + "\n";
    let written = file.append(&batch(&[&long, &long]));
    assert_eq!(written.lines, 1);
    let error = written.outcome.expect_err("a pipe holds 64 KiB");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let mut first = vec![0; 1 << 20];
    let length = reader.read(&mut first).expect("it holds what was written");
    let text = String::from_utf8_lossy(&first[..length]).into_owned();
    assert!(text.starts_with(&long) && !text.ends_with('\n'), "it was cut within the second line");

    for (line, expected) in [("next\n", "\nnext\n"), ("and next\n", "and next\n")] {
        assert_eq!(file.append(&batch(&[line])).lines, 1);
        let length = reader.read(&mut first).expect("it holds what was written");
        assert_eq!(String::from_utf8_lossy(&first[..length]), expected);
    }
}

/// As in a container whose runtime has made the pipe for another user, and does not read it.
#[test]
fn an_inherited_pipe_is_written_and_never_waited_for_long() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let output = Output::Inherited(File::from(OwnedFd::from(writer)));
    let patience = Duration::from_millis(1);
    let mut written = 0;
    let error = output.write(&vec![b'x'; 1 << 20], patience, &mut written).expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    reader.read_exact(&mut vec![0; written]).expect("that much was written");
    output.write(b"one\n", patience, &mut 0).expect("there is room");
    drop(output);
    let mut left = String::new();
    reader.read_to_string(&mut left).expect("it ends");
    assert_eq!(left, "one\n");
}

#[test]
fn a_half_line_in_a_file_that_was_moved_away_breaks_nothing_in_the_next() {
    let folder = folder();
    let path = folder.path().join("log");
    let mut file = log_file(&path);
    file.append(&batch(&["one\n"])).outcome.expect("it can be written");
    file.torn = file.open.as_ref().map(|open| open.identity);
    fs::rename(&path, folder.path().join("log.1")).expect("it is ours");
    file.append(&batch(&["two\n"])).outcome.expect("it can be written");
    assert_eq!(read(&path), "two\n");
}

#[test]
fn a_file_that_fails_works_as_soon_as_it_can() {
    let folder = folder();
    let path = folder.path().join("missing/log");
    let mut file = log_file(&path);
    let kind = |written: Written| written.outcome.map_err(|error| error.kind());
    assert_eq!(kind(file.append(&batch(&["one\n"]))), Err(io::ErrorKind::NotFound));
    assert_eq!(file.reopen().map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    fs::create_dir_all(&path).expect("the folder is ours");
    assert_eq!(kind(file.append(&batch(&["two\n"]))), Err(io::ErrorKind::IsADirectory));
    fs::remove_dir(&path).expect("it is ours");
    assert_eq!(kind(file.append(&batch(&["three\n", "four\n"]))), Ok(()));
    assert_eq!(read(&path), "three\nfour\n");
}

/// A terminal that becomes the controlling one would end kuma-dp when it hangs up; a pipe would hold it up.
#[test]
fn what_is_no_plain_file_does_not_hold_it_up() {
    let folder = folder();
    let fifo = folder.path().join("pipe");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("the folder is ours");
    let error = log_file(&fifo).append(&batch(&["x\n"])).outcome.expect_err("nobody reads it");
    assert_eq!(error.raw_os_error(), Some(Errno::ENXIO as i32));
    let forbidden = log_file(Path::new("/dev/null")).append(&batch(&["x\n"]));
    assert_eq!((forbidden.lines, forbidden.outcome.is_err()), (0, true));
    let full = log_file(Path::new("/dev/full")).append(&batch(&["x\n"]));
    assert_eq!(full.outcome.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
}
