//! What Linux says of a process: proc(5).

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// USER_HZ, in which /proc counts processor time: 100 on every architecture that Linux 2.6 or later has.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time since the start.
    pub cpu: Duration,
    pub resident_kib: u64,
    /// The most that was ever resident.
    pub peak_kib: u64,
}

/// Of a process that runs.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("{path} cannot be read: has the process ended?"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    parse(&stat, &status).with_context(|| format!("/proc/{pid} does not look like Linux's"))
}

/// User and system time of a process and of its children that live, such as a server's workers.
pub(crate) fn cpu_with_children(pid: u32) -> anyhow::Result<Duration> {
    let mut cpu = usage(pid)?.cpu;
    let processes = fs::read_dir("/proc").context("/proc cannot be read")?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for other in pids {
        // One that ends while this looks is none that was measured.
        let Ok(stat) = fs::read_to_string(format!("/proc/{other}/stat")) else { continue };
        if parent(&stat) == Some(pid) {
            cpu += usage(other)?.cpu;
        }
    }
    Ok(cpu)
}

/// The fields from the third on.
fn after_name(stat: &str) -> Option<&str> {
    // The second field is the program's name, in parentheses, and may contain both spaces and parentheses.
    Some(&stat[stat.rfind(')')? + 1..])
}

fn parent(stat: &str) -> Option<u32> {
    after_name(stat)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    let mut fields = after_name(stat)?.split_ascii_whitespace().skip(11);
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
        let stat = "7 (a) b (c)) S 5 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 1 1";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = parse(stat, status).expect("well formed");
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!(parent(stat), Some(5));
        assert_eq!((usage.resident_kib, usage.peak_kib), (1024, 2048));
    }
}
