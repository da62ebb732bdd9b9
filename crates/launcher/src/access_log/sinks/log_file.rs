//! One file that lines are appended to, wherever it is moved.
//!
//! All of this may block (a disk that hangs), so it is called off the async threads. What cannot take lines at once, a pipe that
//! nobody reads or a terminal that was stopped, is given a short while.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{MSG_DONTWAIT, PIPE_BUF};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::access_log::sinks::batch::Batch;

/// For a file that is made. The umask may take more away.
const MODE: u32 = 0o640;
/// How long a pipe or a terminal may take nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file by what it is, not by what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(path: &str) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// The access log's pipe. Lines that went into it would come back as lines of Envoy's, which may name targets.
    forbidden: Identity,
    patience: Duration,
    open: Option<Open>,
    /// The last write to this file ended within a line.
    torn: Option<Identity>,
}

#[derive(Debug)]
struct Open {
    output: Output,
    identity: Identity,
}

#[derive(Debug)]
enum Output {
    File(File),
    /// Standard output or standard error of kuma-dp, where it is a socket: systemd's journal.
    Socket(OwnedFd),
    /// One of the two, where it is not ours to open: a container's runtime made it, and kuma-dp has another user.
    Inherited(File),
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Written {
    /// Lines that are in the file, whole.
    pub(super) lines: usize,
    /// Why the others are not.
    pub(super) outcome: io::Result<()>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, forbidden: Identity) -> Self {
        Self { path, forbidden, patience: PATIENCE, open: None, torn: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `false`: no line has come yet, or the last attempt failed.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Appends all of it with one write, if the file is one that takes it at once.
    pub(super) fn append(&mut self, batch: &Batch) -> Written {
        let mut written = 0;
        let outcome = self.write(batch.bytes(), &mut written);
        if outcome.is_err() {
            if batch.is_cut_at(written) {
                self.torn = self.open.as_ref().map(|open| open.identity);
            }
            // Whatever is wrong with it, the next attempt begins anew.
            self.open = None;
        }
        Written { lines: batch.lines_within(written), outcome }
    }

    /// Lets the file go and opens what has its path now; makes it if there is none.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.opened().map(drop)
    }

    fn write(&mut self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        let (patience, torn) = (self.patience, self.torn);
        let open = self.opened()?;
        if torn == Some(open.identity) {
            open.output.write(b"\n", patience, &mut 0)?;
        }
        let outcome = open.output.write(bytes, patience, written);
        // The half line has got its break, or is in another file than this.
        self.torn = None;
        outcome
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        let now = fs::metadata(&self.path).map(|metadata| Identity::from(&metadata)).ok();
        let open = match self.open.take() {
            Some(open) if now == Some(open.identity) => open,
            _ => Open::new(&self.path)?,
        };
        if open.identity == self.forbidden {
            return Err(io::Error::other("it is the pipe that Envoy hands its lines over in"));
        }
        Ok(self.open.insert(open))
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened =
            OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags.bits()).open(path);
        match opened {
            Ok(file) => {
                let identity = Identity::from(&file.metadata()?);
                Ok(Self { output: Output::File(file), identity })
            }
            Err(error) => Self::standard(path).ok_or(error),
        }
    }

    /// What cannot be opened by its path (a socket never can) but is open already.
    fn standard(path: &Path) -> Option<Self> {
        let copied = match path.to_str()? {
            "/dev/stdout" => io::stdout().as_fd().try_clone_to_owned(),
            "/dev/stderr" => io::stderr().as_fd().try_clone_to_owned(),
            _ => return None,
        };
        let (copied, metadata) = (copied.ok()?, fs::metadata(path).ok()?);
        let is_socket = metadata.file_type().is_socket();
        let output = if is_socket { Output::Socket(copied) } else { Output::Inherited(File::from(copied)) };
        Some(Self { output, identity: Identity::from(&metadata) })
    }
}

impl Output {
    /// `written` grows by what was written, also when the rest was not.
    fn write(&self, bytes: &[u8], patience: Duration, written: &mut usize) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.write_some(left, patience) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    left = &left[length..];
                    *written += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(patience)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Others share what kuma-dp has inherited, so that it is never made non-blocking itself.
    fn write_some(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        match self {
            Self::File(file) => (&mut &*file).write(bytes),
            Self::Socket(socket) => SockRef::from(socket).send_with_flags(bytes, MSG_DONTWAIT),
            Self::Inherited(file) => {
                // A pipe that has room at all has room for so much (pipe(7)).
                self.wait(patience)?;
                (&mut &*file).write(&bytes[..bytes.len().min(PIPE_BUF)])
            }
        }
    }

    fn wait(&self, patience: Duration) -> io::Result<()> {
        let output = match self {
            Self::File(file) | Self::Inherited(file) => file.as_fd(),
            Self::Socket(socket) => socket.as_fd(),
        };
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(output, PollFlags::POLLOUT)], patience) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads what is in it")),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
