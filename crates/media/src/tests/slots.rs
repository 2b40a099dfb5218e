//! A tick whose slots are driven at times of their own: what is told between two of them.

use super::*;

const LEGS: u64 = 8;

/// Drives a tick slot by slot, and after each of them tells something; returns how many packets each leg was sent.
fn tick(shard: &mut Shard, now: Instant, mut told: impl FnMut(&mut Shard, usize)) -> [usize; 8] {
    let mut sent = [0; LEGS as usize];
    for slot in 0..SLOTS {
        let (mut part, at) = (None, now + SLOT * slot as u32);
        while let Some(next) = shard.next_part(slot, part) {
            shard.handle_part(next, at, at);
            shard.think_over(next, at);
            part = Some(next);
        }
        told(shard, slot);
        while let Some(transmit) = shard.poll_transmit(at) {
            sent[transmit.leg.0 as usize] += usize::from(transmit.channel == Channel::Rtp);
        }
    }
    shard.finish_tick();
    sent
}

fn route(room: u64) -> Route {
    Route { room: Some(RoomId(room)), speaks: Speaks::Everyone, ..Route::nowhere() }
}

#[test]
#[allow(clippy::disallowed_methods)] // An epoch.
fn each_leg_has_one_turn_in_a_tick_wherever_in_it_it_changes_rooms() {
    for seed in 1..200_u64 {
        let (mut shard, start) = (Shard::new(seed), Instant::now());
        for leg in 0..LEGS {
            shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options(leg, 20))), start);
        }
        let mut random = seed;
        let mut below = |most: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % most
        };
        for number in 0..60 {
            let now = start + TICK * number;
            let sent = tick(&mut shard, now, |shard, _| {
                for _ in 0..below(4) {
                    let (leg, room) = (LegId(below(LEGS)), below(3));
                    shard.handle_command(Command::Route(leg, route(room)), now);
                }
            });
            assert_eq!(sent, [1; 8], "seed {seed}, tick {number}");
        }
        assert_eq!(shard.stats().legs, 8);
    }
}
