//! The sink of a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::access_log::dropped::Dropped;
use crate::access_log::sinks::batch::Batch;
use crate::access_log::sinks::log_file::{Identity, LogFile, Written};
use crate::access_log::sinks::queue::{Queue, Work};
use crate::access_log::sinks::report::{Report, Trouble};

/// After an attempt that failed. Lines wait meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes until the queue ends. What cannot be written is lost.
pub(super) async fn run(
    path: PathBuf,
    forbidden: Identity,
    queue: Arc<Queue>,
    report: Arc<Report>,
    idle: Duration,
) {
    let mut file = LogFile::new(path, forbidden);
    loop {
        let batch = match queue.next(idle).await {
            Work::Write(batch) => Some(batch),
            Work::Reopen if file.is_open() => None,
            // Nobody may want its lines any more, so it is the next line that tries it.
            Work::Reopen => continue,
            Work::End => return,
        };
        let lines = batch.as_ref().map_or(0, Batch::lines);
        let attempt;
        (file, attempt) = spawn_blocking(move || attempt_on(file, batch))
            .await
            .expect("writing does not panic, and no task outlives its runtime");
        report.delivered(attempt.lines);
        queue.settle(lines);
        match attempt.outcome {
            Ok(()) => report.works(),
            Err(error) => {
                report.failed(trouble(&error, file.path()), lines - attempt.lines);
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = queue.closing() => {}
                }
            }
        }
    }
}

/// Without a batch it is only opened anew.
fn attempt_on(mut file: LogFile, batch: Option<Batch>) -> (LogFile, Written) {
    let written = match batch {
        Some(batch) => file.append(&batch),
        None => Written { lines: 0, outcome: file.reopen() },
    };
    (file, written)
}

fn trouble(error: &io::Error, path: &Path) -> Trouble {
    let folder = path.parent().unwrap_or(path).display();
    let advice = match error.kind() {
        _ if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            "; it is a pipe that nobody reads".to_owned()
        }
        io::ErrorKind::NotFound => format!("; make the folder {folder}, which kuma-dp does not do by itself"),
        io::ErrorKind::PermissionDenied => {
            format!("; let kuma-dp's user write the file, and make files in the folder {folder}")
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            "; name a file in the Mesh's logging backend".to_owned()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room for it".to_owned(),
        _ => String::new(),
    };
    Trouble { reason: Dropped::Unwritable, words: format!("the file cannot be written: {error}{advice}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        for (error, expected) in [
            (
                io::ErrorKind::PermissionDenied,
                "the file cannot be written: permission denied; let kuma-dp's user write the file, and make files in the \
                 folder /var/log/kuma",
            ),
            (
                io::ErrorKind::NotFound,
                "the file cannot be written: entity not found; make the folder /var/log/kuma, which kuma-dp does not do by \
                 itself",
            ),
            (
                io::ErrorKind::IsADirectory,
                "the file cannot be written: is a directory; name a file in the Mesh's logging backend",
            ),
            (io::ErrorKind::Other, "the file cannot be written: other error"),
        ] {
            assert_eq!(trouble(&error.into(), Path::new("/var/log/kuma/access.log")).words, expected);
        }
    }
}
