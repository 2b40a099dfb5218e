//! Sound first: where processors are short, the media threads come before all others of the server.
//!
//! On Linux each thread has a nice value of its own, and what a thread starts begins with the same. The main thread,
//! which only waits, keeps that with which the server was started, so that it says what media threads have.

/// By how much the nice value of all threads but the media threads is higher: one that moves sound weighs as much as
/// nine of the others, which still get on where it would take a whole processor.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 10;

/// Puts this thread, and what it starts from now on, behind the media threads. Where the system refuses, it runs on
/// as it was.
pub fn lower() {
    #[cfg(target_os = "linux")]
    linux::set(BEHIND);
}

/// Lets this thread come first, whoever started it.
pub fn keep() {
    #[cfg(target_os = "linux")]
    linux::set(0);
}

/// Does some work on a thread behind the media threads, and waits for it: threads that the work starts stay there.
///
/// # Errors
/// When the system gives no thread.
pub fn behind<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    let lowered = || {
        lower();
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, lowered)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Once;

    use rustix::io::Result;
    use rustix::process::{getpid, getpriority_process, setpriority_process};

    /// Gives this thread a nice value that is so much higher than the main thread's.
    pub fn set(higher: i32) {
        static TOLD: Once = Once::new();
        if let Err(error) = try_to_set(higher) {
            TOLD.call_once(|| tracing::warn!(%error, "threads cannot be told how urgent they are"));
        }
    }

    fn try_to_set(higher: i32) -> Result<()> {
        // The main thread's number is the process's.
        let wanted = getpriority_process(Some(getpid()))? + higher;
        // Nobody may lower it without a right to; whoever has it already needs none.
        if getpriority_process(None)? == wanted {
            Ok(())
        } else {
            setpriority_process(None, wanted)
        }
    }

    #[cfg(test)]
    pub fn get() -> i32 {
        let of = |thread| getpriority_process(thread).unwrap();
        of(None) - of(Some(getpid()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_put_behind_once_with_all_that_it_starts() {
        let seen = std::thread::spawn(|| {
            let begin = linux::get();
            keep();
            lower();
            lower();
            let started = std::thread::spawn(|| {
                let begin = linux::get();
                lower();
                (begin, linux::get())
            });
            (begin, linux::get(), started.join().unwrap())
        });
        assert_eq!(seen.join().unwrap(), (0, BEHIND, (BEHIND, BEHIND)));
    }

    #[test]
    fn work_behind_leaves_whoever_wants_it_where_he_was() {
        assert_eq!((behind(linux::get).unwrap(), linux::get()), (BEHIND, 0));
    }
}
