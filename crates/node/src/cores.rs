//! The media threads and the processor cores that they run on.

/// Most media threads.
pub const THREADS_MAX: usize = 256;

/// How many media threads there are, and the cores that they are pinned to in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    pub(crate) count: usize,
    pub(crate) pinned_to: Vec<usize>,
}

impl Default for Threads {
    /// One, pinned to no core.
    fn default() -> Self {
        Self { count: 1, pinned_to: Vec::new() }
    }
}

impl Threads {
    /// Makes threads of two settings. With a `count` of 0 there is one for each of the cores that are named, and
    /// where none are, one for each core that this process may use but one, which all else has.
    ///
    /// # Errors
    /// One line that names the core that this process cannot use.
    pub fn of(count: usize, cores: &[String]) -> Result<Self, String> {
        Self::among(&allowed(), count, cores)
    }

    fn among(allowed: &[usize], count: usize, cores: &[String]) -> Result<Self, String> {
        let mut pinned_to = Vec::new();
        for name in cores {
            let core = name.parse().ok().filter(|core| allowed.contains(core));
            pinned_to.push(core.ok_or_else(|| {
                format!("media_cores: {name:?} is none of the cores of this process: {allowed:?}")
            })?);
        }
        let count = match (count, pinned_to.len()) {
            (0, 0) => allowed.len().saturating_sub(1),
            (0, named) => named,
            (count, _) => count,
        };
        Ok(Self { count: count.clamp(1, THREADS_MAX), pinned_to })
    }
}

/// Returns the cores that this process may use; nothing where the system does not say.
#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    use nix::sched::{CpuSet, sched_getaffinity};
    use nix::unistd::Pid;
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect()
}

/// Returns the cores that this process may use; nothing where the system does not say.
#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Binds this thread, and what it starts from now on, to these cores. What it makes then lies in the memory that is
/// near to them.
///
/// # Errors
/// One line, where the system cannot.
#[cfg(target_os = "linux")]
pub fn bind_to(cores: impl Iterator<Item = usize>) -> Result<(), String> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for core in cores {
        set.set(core).map_err(|error| format!("core {core}: {error}"))?;
    }
    sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).map_err(|error| error.to_string())
}

/// Binds this thread to these cores.
///
/// # Errors
/// Always: this system has no way that we know.
#[cfg(not(target_os = "linux"))]
pub fn bind_to(_: impl Iterator<Item = usize>) -> Result<(), String> {
    Err("this system binds no thread to a core".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: usize, cores: &[&str], expected: Result<(usize, &[usize]), &str>) {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let threads = Threads::among(&[0, 2, 3], count, &cores);
        let read = threads.map(|threads| (threads.count, threads.pinned_to));
        let expected = expected.map(|(count, pinned)| (count, pinned.to_vec()));
        assert_eq!(read, expected.map_err(str::to_owned));
    }

    #[test]
    fn there_is_a_thread_for_each_core_that_is_named_or_for_all_but_one() {
        check(0, &[], Ok((2, &[])));
        check(0, &["3"], Ok((1, &[3])));
        check(4, &["0", "2"], Ok((4, &[0, 2])));
        check(1_000, &[], Ok((THREADS_MAX, &[])));
        assert_eq!(Threads::among(&[], 0, &[]).map(|threads| threads.count), Ok(1));
    }

    #[test]
    fn a_core_that_is_none_of_ours_is_named_with_those_that_are() {
        let told = "is none of the cores of this process: [0, 2, 3]";
        check(0, &["0", "1"], Err(&format!("media_cores: \"1\" {told}")));
        check(0, &["first"], Err(&format!("media_cores: \"first\" {told}")));
    }
}
