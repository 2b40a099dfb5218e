//! Callers come and go for minutes while two others talk: nothing is left of them, and the two hear no later than
//! before. With `SIDETONE_DEEP` for half an hour.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use e2e::{Server, until};
use sim::Phone;

/// How long callers come and go, in a normal run and in a deep one.
const LASTS: (Duration, Duration) = (Duration::from_secs(180), Duration::from_secs(1_800));
/// Of that, the part after which all has the size that it keeps.
const SETTLED: f32 = 0.3;
/// Callers that are there at a time, and how often one comes.
const CALLERS: usize = 8;
const EVERY: Duration = Duration::from_millis(150);
/// How many of how many of them talk, in every codec and every room.
const TALKERS: (usize, usize) = (3, 7);
/// Pages of memory that may be kept more than when it had settled, for rows and allocators: 8 MiB of 4 KiB each.
const PAGES_MORE: u64 = 2_048;
/// By how much later the listener may hear. What is measured is when the server sends a beat, after a time that the
/// talker keeps however late it wakes: so the talker's lateness, what play-out waits for it, and up to two ticks. Where
/// the machine is busy for seconds the first two grow, and go again; the soonest of many beats has little of them.
const LATER_MAX_US: i64 = 100_000;
/// Microseconds from one beat to the next, and beats of which the soonest counts: for five times as long as play-out
/// remembers how late packets came.
const PERIOD_US: i64 = 2_000_000;
const BEATS: usize = 20;
const SKIPPED: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn memory_sockets_and_delay_stay_what_they_are_while_callers_come_and_go() {
    let server = Server::start(&[]).await;
    let began = Instant::now();
    // 100 ms of a tone, then silence.
    let beat = [&sim::tone(440)[..800], &[0; 15_200]].concat();
    let talker = Phone::call(server.sip(), "soak", beat.into()).unwrap();
    let listener = Phone::call(server.sip(), "soak", vec![0; 160].into()).unwrap();
    until("the two talk", async || {
        talker.state() == sim::State::Up && listener.state() == sim::State::Up
    })
    .await;
    let lasts = if std::env::var_os("SIDETONE_DEEP").is_some() { LASTS.1 } else { LASTS.0 };
    let quiet = sockets(&server);
    churn(&server, lasts.mul_f32(SETTLED)).await;
    until("only the two are left", async || sockets(&server) == quiet).await;
    let (memory, delay) = (pages(&server), phase(&listener, began).await);
    let callers = churn(&server, lasts.mul_f32(1.0 - SETTLED)).await;
    until("only the two are left again", async || sockets(&server) == quiet).await;
    let (memory_then, delay_then) = (pages(&server), phase(&listener, began).await);
    let later = (delay_then - delay + PERIOD_US / 2).rem_euclid(PERIOD_US) - PERIOD_US / 2;
    println!("{callers} callers: {memory} pages, then {memory_then}; {later} us later");
    assert!(memory_then <= memory + PAGES_MORE, "{memory} pages, then {memory_then}");
    assert!(later <= LATER_MAX_US, "a beat is heard {later} us later");
}

/// Lets callers come and go for so long; returns how many it were.
async fn churn(server: &Server, lasts: Duration) -> usize {
    let end = Instant::now() + lasts;
    let (mut callers, mut there) = (0, VecDeque::new());
    let codecs = [&["pcmu"][..], &["pcma"], &["g722"], &["opus"]];
    while Instant::now() < end {
        let offered = codecs[callers % codecs.len()];
        let room =
            if callers.is_multiple_of(3) { "soak".to_owned() } else { format!("r{}", callers % 5) };
        let talks = callers % TALKERS.1 < TALKERS.0;
        let voice = if talks { sim::tone(600) } else { vec![0; 160].into() };
        there.push_back(Phone::call_speaking(server.sip(), &room, voice, offered).unwrap());
        callers += 1;
        if there.len() > CALLERS {
            there.pop_front();
        }
        tokio::time::sleep(EVERY).await;
    }
    callers
}

/// Returns how many sockets the server has open.
fn sockets(server: &Server) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let is_udp = |name: &str| name.starts_with("socket:");
    let names = all.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
    names.filter(|name| is_udp(&name.to_string_lossy())).count()
}

/// Returns the server's pages of memory.
fn pages(server: &Server) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Returns how many microseconds after a multiple of their period beats come: of some, the soonest.
async fn phase(listener: &Phone, began: Instant) -> i64 {
    listener.packets();
    let mut beats: Vec<i64> = Vec::new();
    let mut loud = true;
    until("beats are heard", async || {
        for packet in listener.packets() {
            let is_loud = packet.loudness > 300.0;
            if is_loud && !loud {
                beats.push((packet.at - began).as_micros() as i64);
            }
            loud = is_loud;
        }
        beats.len() >= SKIPPED + BEATS
    })
    .await;
    // The first may have been cut into, or be what is played when somebody leaves.
    let beats = &beats[SKIPPED..];
    let first = beats[0];
    let after = |beat: &i64| (beat - first + PERIOD_US / 2).rem_euclid(PERIOD_US) - PERIOD_US / 2;
    first + beats.iter().map(after).min().unwrap()
}
