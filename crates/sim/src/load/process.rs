//! What a process has used, as the kernel counts it.

use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, in user and system mode.
    pub cpu: Duration,
    /// Resident memory, in KiB.
    pub memory_kib: u64,
}

impl Usage {
    /// Reads what a process has used; nothing where it is gone or the system does not tell.
    pub fn of(pid: u32) -> Option<Self> {
        Self::under(&format!("/proc/{pid}"))
    }

    /// Reads what this thread has used; the memory is the process's.
    pub fn of_this_thread() -> Option<Self> {
        Self::under("/proc/thread-self")
    }

    fn under(folder: &str) -> Option<Self> {
        let read = |name| std::fs::read_to_string(format!("{folder}/{name}")).ok();
        Self::parse(&read("stat")?, &read("status")?, ticks_per_second())
    }

    fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Self> {
        // The second field is the program's name in brackets, whatever that holds.
        let (_, rest) = stat.rsplit_once(") ")?;
        let field = |number: usize| rest.split(' ').nth(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)? + field(15)?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            cpu: Duration::from_millis(ticks * 1_000 / ticks_per_second.max(1)),
            memory_kib: resident.split_whitespace().next()?.parse().ok()?,
        })
    }
}

fn ticks_per_second() -> u64 {
    #[cfg(target_os = "linux")]
    if let Ok(Some(ticks)) = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK) {
        return u64::try_from(ticks).unwrap_or(100);
    }
    100
}

/// Returns how many sockets a process has open; nothing where it is gone or the system does not tell.
pub fn sockets(pid: u32) -> Option<usize> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let target = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).ok();
    let is_socket = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
    Some(open.flatten().filter_map(target).filter(is_socket).count())
}

/// Binds this thread, and what it starts from now on, to one processor.
///
/// # Errors
/// One line, where the system cannot.
pub fn pin(processor: usize) -> Result<(), String> {
    node::bind_to(std::iter::once(processor)).map_err(told)
}

/// Binds this thread, and what it starts from now on, to all processors but one.
///
/// # Errors
/// As [`pin`]; also where there is no other.
pub fn pin_beside(processor: usize) -> Result<(), String> {
    node::bind_to((0..PROCESSORS_MAX).filter(|&number| number != processor)).map_err(told)
}

fn told(error: String) -> String {
    format!("--pin: {error}")
}

/// Processors that can be named.
const PROCESSORS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_odd_brackets_in_its_name_is_read() {
        let stat = "77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16";
        let status = "Name:\ta\nVmRSS:\t   4096 kB\nThreads:\t2\n";
        let expected = Usage { cpu: Duration::from_secs(3), memory_kib: 4_096 };
        assert_eq!(Usage::parse(stat, status, 100), Some(expected));
        assert_eq!(Usage::parse("", status, 100), None);
        assert_eq!(Usage::parse(stat, "", 100), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_use_is_known() {
        assert!(Usage::of(std::process::id()).is_some_and(|usage| usage.memory_kib > 0));
        assert!(Usage::of_this_thread().is_some_and(|usage| usage.memory_kib > 0));
        assert_eq!(Usage::of(u32::MAX), None);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(sockets(std::process::id()).is_some_and(|count| count > 0));
        assert_eq!(sockets(u32::MAX), None);
        drop(socket);
    }
}
