//! The jitter buffer by itself.

use super::*;
use crate::TICK;

/// What Twilio's words for the size of a jitter buffer stand for: off, small, medium, large.
const BOUNDS_MS: [u32; 4] = [0, 60, 120, 300];
/// Ticks that a buffer is watched for, and packets that come in that time.
const WATCHED: u32 = 1_500;

/// How late a packet of that number is, in milliseconds.
type Network = dyn Fn(u32) -> u32;

/// Returns by how much longer than the fastest packet needs play-out waits in each tick, in milliseconds, where a
/// bound holds from a tick on.
#[allow(clippy::disallowed_methods)] // An epoch.
fn waits(bound_ms: u32, from: u32, late_ms: &Network) -> Vec<i64> {
    let mut jitter = Jitter::new(Codec::Pcmu, Bounds::default());
    let bounds = Bounds { delay_max: Duration::from_millis(bound_ms.into()) };
    let start = Instant::now();
    let mut came: Vec<_> = (0..WATCHED).map(|n| (n * 20 + late_ms(n), n)).collect();
    came.sort_unstable();
    let mut packets = came.into_iter().peekable();
    let mut waits = Vec::new();
    for tick in 0..WATCHED {
        if tick == from {
            jitter.set_bounds(bounds);
        }
        while let Some((at_ms, number)) = packets.next_if(|(at_ms, _)| *at_ms <= tick * 20) {
            let at = start + Duration::from_millis(at_ms.into());
            jitter.insert(number * 160, &[0x90; 160], Codec::Pcmu, at);
        }
        jitter.read(&mut [0; 160], start + TICK * tick);
        waits.push((i64::from(tick + 1) * 160 - jitter.play) / 8);
    }
    waits
}

/// Packets that wait for others now and then, and then come all at once: 400 ms of them.
fn bursts(number: u32) -> u32 {
    let (of, at) = (number / 100, number % 100);
    if of > 1 && at >= 80 { (100 - at) * 20 } else { 0 }
}

/// Every other packet is late.
fn by_turns(late_ms: u32) -> impl Fn(u32) -> u32 {
    move |number| if number % 2 == 1 { late_ms } else { 0 }
}

#[test]
fn a_bound_is_kept_however_late_packets_come() {
    let scattered = |number| number * 7_919 % 351 * u32::from(number > 0);
    let networks: [&Network; 3] = [&bursts, &by_turns(330), &scattered];
    for bound_ms in BOUNDS_MS {
        for (which, network) in networks.into_iter().enumerate() {
            let most = waits(bound_ms, 0, network).into_iter().max().unwrap_or_default();
            // What is ready is ready for a whole tick, and 5 ms are added while a network is not known.
            let bound_ms = i64::from(bound_ms);
            let due = bound_ms..=bound_ms + 26;
            assert!(due.contains(&most), "{bound_ms} ms, network {which}: {most} ms");
        }
    }
}

#[test]
fn a_bound_that_comes_while_play_out_waits_longer_is_kept_at_once() {
    for (before_ms, bound_ms) in [(330, 120), (330, 60), (120, 60), (330, 0), (60, 0)] {
        let waits = waits(bound_ms, 750, &by_turns(before_ms));
        let (before, bound_ms) = (waits[740], i64::from(bound_ms));
        assert!(before > bound_ms + 50, "{bound_ms}: {before}");
        let most = waits[750..].iter().max().copied().unwrap_or_default();
        assert!(most <= bound_ms + 26, "{bound_ms} ms, of {before_ms}: {most} ms");
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // An epoch.
fn play_out_waits_for_the_packet_after_a_lost_one_only_where_packets_are_lost() {
    let mut jitter = Jitter::new(Codec::Pcmu, Bounds::default());
    let start = Instant::now();
    let mut delay = |ticks: std::ops::Range<u32>, lost: &dyn Fn(u32) -> bool| {
        for tick in ticks {
            let at = start + Duration::from_millis(20) * tick;
            if !lost(tick) {
                jitter.insert(tick * 160, &[0xff; 160], Codec::Pcmu, at);
            }
            jitter.read(&mut [0; 160], at);
        }
        jitter.delay_ms()
    };
    let calm = delay(0..500, &|_| false);
    let lossy = delay(500..1_001, &|tick| tick % 50 == 25);
    let calm_again = delay(1_001..2_501, &|_| false);
    assert!((17.0..21.0).contains(&(lossy - calm)), "{calm} ms, then {lossy}");
    assert!((calm_again - calm).abs() < 6.0, "{calm} ms, in the end {calm_again}");
}

#[test]
#[allow(clippy::disallowed_methods)] // An epoch.
fn sound_comes_back_after_a_long_pause_as_it_was_sent() {
    let mut jitter = Jitter::new(Codec::Pcmu, Bounds::default());
    let start = Instant::now();
    let mut frame = [0; 160];
    let mut paused = Vec::new();
    for tick in 0..600_u32 {
        let at = start + Duration::from_millis(20) * tick;
        if !(300..500).contains(&tick) {
            jitter.insert(tick * 160, &[0x90; 160], Codec::Pcmu, at);
        }
        let concealed = jitter.read(&mut frame, at);
        if (320..500).contains(&tick) {
            assert_eq!(frame, [0; 160], "tick {tick}");
            paused.push(concealed);
        }
    }
    assert!(paused.iter().all(|concealed| *concealed == Some(160)));
    assert_eq!(frame, [g711::ulaw_to_linear(0x90); 160]);
}

/// Returns what is left in the buffer after each tick of the tenth second, at most and in milliseconds, where
/// packets of that length come so long before a tick, and how much was concealed in all.
#[allow(clippy::disallowed_methods)] // An epoch.
fn left_over(packet_ms: u32, before_us: u64) -> (f32, usize) {
    let mut jitter = Jitter::new(Codec::Pcmu, Bounds::default());
    let start = Instant::now() + Duration::from_secs(1);
    let (mut most, mut concealed, mut sent) = (0.0_f32, 0, 0);
    for tick in 0..500_u32 {
        let at = start + TICK * tick;
        let came = |number: u32| {
            start + Duration::from_millis((number * packet_ms).into())
                - Duration::from_micros(before_us)
        };
        while came(sent) <= at {
            let payload = [0x90; 480];
            let samples = (packet_ms * 8) as usize;
            jitter.insert(sent * packet_ms * 8, &payload[..samples], Codec::Pcmu, came(sent));
            sent += 1;
        }
        concealed += jitter.read(&mut [0; 160], at).filter(|_| tick > 10).unwrap_or(0);
        if tick >= 450 {
            most = most.max(jitter.delay_ms());
        }
    }
    (most, concealed)
}

#[test]
fn a_packet_that_is_there_is_played_whole() {
    for before_us in (3_500..20_000).step_by(500) {
        let (left, concealed) = left_over(20, before_us);
        // Where it was there by a hair, play-out may have begun with the one before it.
        let more = if before_us < 4_500 { 20.0 } else { 0.0 };
        assert!(left <= more + 0.6, "{before_us}: {left}");
        assert_eq!((concealed, left_over(10, before_us).1), (0, 0), "{before_us}");
        assert!(left_over(10, before_us).0 <= 10.6, "{before_us}");
        // Of longer ones two ticks are left, or one.
        assert_eq!(left_over(60, before_us).1, 0, "{before_us}");
        assert!(left_over(60, before_us).0 <= more + 40.6, "{before_us}");
    }
    // What comes a moment before the tick may come a moment after it the next time.
    assert!(left_over(20, 1_000).0 > 19.0);
}

#[test]
#[allow(clippy::disallowed_methods)] // An epoch.
fn a_clock_that_runs_fast_or_slow_moves_play_out_by_a_packet_now_and_then() {
    for per_million in [-200_i64, 200] {
        let (mut jitter, start) = (Jitter::new(Codec::Pcmu, Bounds::default()), Instant::now());
        let (mut sent, mut concealed, mut most) = (0_u32, 0, 0.0_f32);
        for tick in 0..50 * 300_u32 {
            let at = start + TICK * tick;
            let came = |number: u32| {
                let nanos = i64::from(number) * (20_000_000 + 20 * per_million);
                start + Duration::from_nanos(nanos as u64)
            };
            while came(sent) <= at {
                jitter.insert(sent * 160, &[0x90; 160], Codec::Pcmu, came(sent));
                sent += 1;
            }
            concealed += jitter.read(&mut [0; 160], at).filter(|_| tick > 10).unwrap_or(0);
            most = most.max(if tick > 500 { jitter.delay_ms() } else { 0.0 });
        }
        assert_eq!(concealed, 0, "{per_million}");
        assert!(most < 45.0, "{per_million}: {most} ms");
    }
}

#[test]
fn no_octet_means_that_there_is_no_sample() {
    for octet in 0..=255 {
        assert_ne!(g711::ulaw_to_linear(octet), ABSENT);
        assert_ne!(g711::alaw_to_linear(octet), ABSENT);
    }
}
