//! What Linux says of a process: proc(5).

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// USER_HZ, in which /proc counts processor time: 100 on every architecture that Linux 2.6 or later has.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time since the start.
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
    /// The most that was ever resident.
    pub(crate) peak_kib: u64,
}

pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("{path} cannot be read: has the process ended?"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    parse(&stat, &status).with_context(|| format!("/proc/{pid} does not look like Linux's"))
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The second field is the program's name, in parentheses, and may contain both spaces and parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Usage {
        cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
        resident_kib: kib("VmRSS")?,
        peak_kib: kib("VmHWM")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 1 1";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = parse(stat, status).expect("well formed");
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!((usage.resident_kib, usage.peak_kib), (1024, 2048));
    }
}
