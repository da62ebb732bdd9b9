//! Follows the token file: a new token that passes the checks is handed to Envoy, which uses it from its next stream on.
//!
//! By the kernel's events (inotify(7)), not by looking. The file may be rewritten in place, be replaced by a rename, or lie
//! behind a link whose target is switched, as Kubernetes does with a secret; so the folder of its name and the folder of
//! its target are watched.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::folder::Folder;
use crate::token::{Owner, Token};

/// Never ends. Where the kernel cannot watch, it says so, and the token in use stays.
pub(crate) async fn follow(path: &Path, owner: &Owner, folder: &Folder, mut current: Token) -> Infallible {
    let changed = Arc::new(Notify::new());
    if let Err(error) = start_watching(path, &changed) {
        warn_unwatched(path, &error);
    }
    loop {
        // Also before the first event: the file may have changed after it was read and before it was watched.
        take_over(path, owner, folder, &mut current);
        changed.notified().await;
    }
}

/// A thread, because reading inotify events as they come takes either a thread or `unsafe`. It ends with the process.
fn start_watching(path: &Path, changed: &Arc<Notify>) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    watch(&inotify, path)?;
    let (path, changed) = (path.to_owned(), Arc::clone(changed));
    thread::Builder::new().name("token-watch".to_owned()).spawn(move || {
        let Err(error) = announce_changes(&inotify, &path, &changed);
        warn_unwatched(&path, &error);
    })?;
    Ok(())
}

fn announce_changes(inotify: &Inotify, path: &Path, changed: &Notify) -> io::Result<Infallible> {
    loop {
        match inotify.read_events() {
            Ok(events) if events.iter().any(|event| concerns(event, path)) => {
                // A link may lead to another folder now. To watch one twice is to watch it once.
                watch(inotify, path)?;
                changed.notify_one();
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn warn_unwatched(path: &Path, error: &io::Error) {
    warn!(
        file = %path.display(),
        "the token file is not watched, so a new token will need a restart of kuma-dp: {error}"
    );
}

/// The token in use stays unless the file holds a good one.
fn take_over(path: &Path, owner: &Owner, folder: &Folder, current: &mut Token) {
    match Token::read(path, owner, SystemTime::now()) {
        Ok(token) if token == *current => {}
        Ok(token) => match folder.write_token(&token) {
            Ok(()) => {
                info!(file = %path.display(), "the new token is in place");
                *current = token;
            }
            Err(error) => warn!("the new token is not in use, the one before stays: {error}"),
        },
        Err(error) => {
            warn!("the token file has changed for the worse, the token before stays in use: {error}");
        }
    }
}

fn watch(inotify: &Inotify, path: &Path) -> io::Result<()> {
    // A file that is being written is not read before it is closed.
    let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
    inotify.add_watch(&folder_of(path), flags)?;
    if let Ok(target) = path.canonicalize() {
        inotify.add_watch(&folder_of(&target), flags)?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A rename concerns us whatever its name: it may be that of a link on the way. Of the files written in place, ours alone.
fn concerns(event: &InotifyEvent, path: &Path) -> bool {
    let target = path.canonicalize().ok();
    let is_named = |path: &Path| path.file_name() == event.name.as_deref().map(OsStr::new);
    event.mask.intersects(AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_Q_OVERFLOW)
        || is_named(path)
        || target.is_some_and(|target| is_named(&target))
}
