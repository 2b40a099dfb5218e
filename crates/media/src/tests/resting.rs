//! Legs that send nothing for a while: nobody hears that they are not listened to in every tick.

use super::*;

/// Lets a phone send nothing for so many milliseconds; returns what was missed of it.
fn pause(street: &mut Street, leg: usize, ms: u32) -> u64 {
    let missed = |street: &Street| {
        let stats = street.shard.leg_stats(LegId(leg as u64)).unwrap();
        stats.concealed_samples
    };
    let before = missed(street);
    street.phones[leg] += u64::from(ms) / 20;
    street.run(ms);
    missed(street) - before
}

#[test]
fn who_comes_back_after_a_rest_is_heard_as_after_a_breath() {
    let after = |seconds: u32| {
        let mut street = Street::new(3);
        street.run(8_000);
        let missed = pause(&mut street, 1, seconds * 1_000);
        (street.run(400), missed)
    };
    let (breath, missed) = after(1);
    for seconds in [4, 31] {
        let (rest, more) = after(seconds);
        assert!(rest == breath, "it is heard otherwise after {seconds} s");
        let [shorter, longer] = [missed, more].map(|missed| missed as i64);
        let passed = i64::from(seconds - 1) * 8_000;
        assert!((longer - shorter - passed).abs() <= 8_000, "{missed} and then {more} missed");
    }
    check(&breath, &[".xx", "x.x", "xx."]);
}

#[test]
fn who_is_muted_at_rest_comes_back_unheard() {
    let mut street = Street::new(2);
    street.run(1_000);
    pause(&mut street, 1, 4_700);
    street.route(1, Speaks::Nobody, true);
    pause(&mut street, 1, 200);
    let heard = street.run(1_000);
    assert!(heard[0].iter().all(|&sample| sample == 0), "something of it is heard");
    street.route(1, Speaks::Everyone, true);
    street.run(60);
    check(&street.run(400), &[".x", "x."]);
}

#[test]
fn who_rests_alone_hears_its_music_without_a_seam_and_then_who_comes() {
    let mut street = Street::new(2);
    street.command(Command::Route(LegId(1), Route::nowhere()));
    let mut random = 1_u32;
    let music: Vec<i16> = (0..8_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 18) as i16 - 8_192
        })
        .collect();
    let (player, to) = (PlayerId(1), PlayTo::Leg(LegId(0)));
    let pcm = Pcm::from(music);
    street.command(Command::Play { player, to, pcm, loops: None, paused: false });
    street.run(1_000);
    street.phones[0] += 500;
    let heard = street.run(8_000).swap_remove(0);
    let again = heard.windows(8_001).all(|second| second[0] == second[8_000]);
    assert!(again && heard[..8_000].iter().any(|&sample| sample.unsigned_abs() > 4_000));
    // It has 2 s to go until its phone speaks again.
    street.command(Command::Stop(player));
    street.route(1, Speaks::Everyone, true);
    street.run(100);
    check(&street.run(400), &[".x", ".."]);
    street.run(1_600);
    check(&street.run(400), &[".x", "x."]);
}
