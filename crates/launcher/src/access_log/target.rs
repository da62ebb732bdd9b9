//! Where the lines of a TrafficLog go: `file:/path` or `tcp:host:port`.

use std::path::PathBuf;

use model::kinds::logging::{FileBackend, TcpBackend};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An absolute path of this machine.
    File(PathBuf),
    /// A name or an address (IPv6 without brackets), and a port that is not 0.
    Tcp { host: String, port: u16 },
}

impl Target {
    /// `None` for what can be no file and no collector. The path is relative to nothing that the user knows of, or the address
    /// is not one: a port by its name, which Kuma 0.3.0 looked up, is among those.
    pub(super) fn parse(target: &str) -> Option<Self> {
        if let Some(path) = target.strip_prefix("file:") {
            let backend = FileBackend { path: path.to_owned() };
            return backend.is_usable().then(|| Self::File(PathBuf::from(path)));
        }
        let backend = TcpBackend { address: target.strip_prefix("tcp:")?.to_owned() };
        let (host, port) = backend.host_and_port_number()?;
        Some(Self::Tcp { host: host.to_owned(), port: port.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_absolute_path() {
        for (target, expected) in [
            ("file:/var/log/a.log", Some("/var/log/a.log")),
            ("file:/a b:c;d", Some("/a b:c;d")),
            ("file:/", Some("/")),
            ("file:access.log", None),
            ("file:./a", None),
            ("file:", None),
            ("file:/a\0b", None),
            ("FILE:/a", None),
            ("/a", None),
        ] {
            let expected = expected.map(|path| Target::File(PathBuf::from(path)));
            assert_eq!(Target::parse(target), expected, "{target:?}");
        }
    }

    #[test]
    fn a_collector_has_a_host_and_a_port_in_digits() {
        let long = format!("tcp:{}:1", "a".repeat(254));
        for (target, expected) in [
            ("tcp:10.0.0.1:9000", Some(("10.0.0.1", 9000))),
            ("tcp:logs_1.test:1", Some(("logs_1.test", 1))),
            ("tcp:[::1]:9000", Some(("::1", 9000))),
            ("tcp:[fe80::1%eth0]:9000", Some(("fe80::1%eth0", 9000))),
            ("tcp:logs", None),
            ("tcp:logs:", None),
            ("tcp::9000", None),
            ("tcp:logs:0", None),
            ("tcp:logs:65536", None),
            ("tcp:logs:+9", None),
            ("tcp:logs:http", None),
            ("tcp:::1:9000", None),
            ("tcp://logs:9000", None),
            ("tcp:lo gs:9000", None),
            ("tcp:lo\ngs:9000", None),
            (&long, None),
        ] {
            let expected = expected.map(|(host, port)| Target::Tcp { host: host.to_owned(), port });
            assert_eq!(Target::parse(target), expected, "{target:?}");
        }
    }
}
