//! What a media thread asks of the kernel while it mixes: one call to receive and one to send for each leg
//! and tick, a few for each tick, and nothing else.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{Origin, Server, hears, tone};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sim::Phone;

const ROOM_SIZE: usize = 4;
const WATCHED: Duration = Duration::from_secs(2);
/// Ticks in that time.
const TICKS: usize = 100;
/// Calls of a leg in a tick, one to receive and one to send, and what a late packet asks for.
const OF_A_LEG: f64 = 2.2;
/// Calls of a tick, however many legs there are: to sleep until a slot, to look at all sockets in
/// it, and to wake who waits for what was told.
const OF_A_TICK: f64 = 10.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_costs_two_system_calls_a_tick_and_the_loop_makes_no_others() {
    let origin = Origin::start().await;
    let flags = ["--media-threads", "1", "--voice-url", &origin.url("/voice")];
    let server = Server::start(&flags).await;
    let mut phones = Vec::new();
    for rooms in [2, 6] {
        while phones.len() < rooms * ROOM_SIZE {
            phones.push(call(&server, &origin, phones.len()));
        }
        for (number, phone) in phones.iter().enumerate() {
            hears(phone, hertz(number + 1), true).await;
        }
        let thread = media_thread(&server);
        let made = tokio::task::spawn_blocking(move || watched(thread)).await.unwrap();
        println!("{} legs, {TICKS} ticks: {made:?}", phones.len());
        let of = |numbers: &[i64]| numbers.iter().filter_map(|number| made.get(number)).sum();
        let sound: usize = of(&[
            libc::SYS_recvmmsg,
            libc::SYS_recvmsg,
            libc::SYS_recvfrom,
            libc::SYS_sendmmsg,
            libc::SYS_sendmsg,
            libc::SYS_sendto,
        ]);
        let turns: usize =
            of(&[libc::SYS_epoll_pwait, EPOLL_WAIT, libc::SYS_futex, libc::SYS_write]);
        let all: usize = made.values().sum();
        let (legs, ticks) = (phones.len() as f64, TICKS as f64);
        assert!(sound as f64 > legs * ticks, "the thread that mixes was not watched: {made:?}");
        assert!((sound as f64) < legs * ticks * OF_A_LEG, "{legs} legs: {made:?}");
        assert!((turns as f64) < ticks * OF_A_TICK, "{legs} legs: {made:?}");
        // What is kept for a network that varies may grow now and then.
        assert!(all - sound - turns < TICKS / 10, "{legs} legs: {made:?}");
    }
}

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: i64 = libc::SYS_epoll_wait;
/// Newer processors have the one call alone.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: i64 = libc::SYS_epoll_pwait;

/// Returns what the phone of a number says; every room has the same tones.
fn hertz(number: usize) -> u32 {
    [500, 700, 900, 1_100][number % ROOM_SIZE]
}

fn call(server: &Server, origin: &Origin, number: usize) -> Phone {
    let (user, room) = (format!("user{number}"), number / ROOM_SIZE);
    origin.answers(&user, &format!("<Dial><Conference beep='false'>{room}</Conference></Dial>"));
    Phone::call(server.sip(), &user, tone(hertz(number), 3_000.0)).unwrap()
}

/// Returns the thread of the server that mixes.
fn media_thread(server: &Server) -> Pid {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let is_media = |task: &PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("media"))
    };
    let found = tasks.map(|task| task.unwrap().path()).find(is_media).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

/// Watches a thread for a while and returns how often it made each system call, by its number.
fn watched(thread: Pid) -> BTreeMap<i64, usize> {
    ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD).unwrap();
    ptrace::interrupt(thread).unwrap();
    let end = Instant::now() + WATCHED;
    let (mut made, mut enters) = (BTreeMap::new(), false);
    loop {
        let stopped = waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        let mut signal: Option<Signal> = None;
        match stopped {
            WaitStatus::PtraceSyscall(_) => {
                enters = !enters;
                if enters {
                    *made.entry(number(thread)).or_default() += 1;
                }
            }
            WaitStatus::Stopped(_, caught) => signal = Some(caught),
            WaitStatus::PtraceEvent(..) => {}
            ended => panic!("the thread did not go on: {ended:?}"),
        }
        if Instant::now() > end {
            ptrace::detach(thread, signal).unwrap();
            return made;
        }
        ptrace::syscall(thread, signal).unwrap();
    }
}

/// Returns which system call a stopped thread is about to make.
fn number(thread: Pid) -> i64 {
    let told = std::fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}
