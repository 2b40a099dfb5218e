//! What is shown of each leg; what phones say of their levels changes nothing that is heard.

use super::*;

/// The level of a tone of 3,000.
const LOUD: u8 = 24;

fn levels(street: &Street) -> Vec<u8> {
    street.shard.voices(RoomId(1)).0.into_iter().map(|voiced| voiced.level).collect()
}

fn dominant(street: &Street) -> Option<u64> {
    street.shard.voices(RoomId(1)).1.map(|LegId(leg)| leg)
}

/// Returns who has begun to speak.
fn speaking(street: &mut Street) -> Vec<u64> {
    let events = std::iter::from_fn(|| street.shard.poll_event());
    let mut legs: Vec<u64> = events
        .filter_map(|event| match event {
            Event::Speech(LegId(leg), true) => Some(leg),
            _ => None,
        })
        .collect();
    legs.sort_unstable();
    legs
}

#[test]
fn levels_and_the_dominant_speaker_follow_what_is_said() {
    let mut street = Street::new(3);
    street.tells = vec![None, Some((30, true)), Some((15, true))];
    street.run(2_000);
    assert_eq!(levels(&street), [LOUD, 30, 15]);
    assert_eq!(dominant(&street), Some(2));
    street.tells = vec![None, Some((10, true)), Some((40, true))];
    street.run(2_000);
    assert_eq!(levels(&street), [LOUD, 10, 40]);
    assert_eq!(dominant(&street), Some(1));
    street.tells = vec![None; 3];
    street.run(2_000);
    assert_eq!(levels(&street), [LOUD; 3]);
}

#[test]
fn a_leg_that_loses_packets_has_a_lower_opinion_than_a_clean_one_and_a_mute_one_has_none() {
    let mut street = Street::new(3);
    let opinions = |street: &Street| -> Vec<Option<f32>> {
        street.shard.voices(RoomId(1)).0.into_iter().map(|voiced| voiced.mos).collect()
    };
    street.phones[2] = u64::MAX / 1_000;
    for tick in 0..1_000 {
        // Every tenth packet of one is lost.
        street.phones[1] += u64::from(tick % 10 == 9);
        street.run(20);
    }
    let [Some(clean), Some(lossy), None] = opinions(&street)[..] else {
        panic!("{:?}", opinions(&street));
    };
    assert!((4.2..=4.5).contains(&clean), "{clean}");
    assert!((2.0..3.9).contains(&lossy), "{lossy}");
}

#[test]
fn who_lies_is_heard_and_shown_as_loud_as_they_are() {
    let mut honest = Street::new(4);
    let expected = honest.run(2_000);
    for lies in [(SILENCE, false), (SILENCE, true), (0, true), (0, false), (90, false)] {
        let mut street = Street::new(4);
        street.tells = vec![Some(lies); 4];
        assert!(street.run(2_000) == expected, "{lies:?} are heard");
        assert_eq!(levels(&street), [LOUD; 4], "{lies:?}");
        assert_eq!(speaking(&mut street), [0, 1, 2, 3], "{lies:?}");
    }
}

#[test]
fn who_says_that_silence_is_a_voice_does_not_speak() {
    let mut street = Street::new(2);
    street.amplitude = 0.0;
    street.tells = vec![Some((0, true)), Some((SILENCE, true))];
    street.run(2_000);
    assert_eq!((levels(&street), dominant(&street)), (vec![SILENCE; 2], None));
    assert_eq!(speaking(&mut street), [0; 0]);
}

#[test]
fn sound_that_is_said_to_be_no_voice_begins_no_speech_and_is_heard() {
    let mut street = Street::new(2);
    street.amplitude = 0.0;
    street.tells = vec![Some((SILENCE, true)), Some((SILENCE, true))];
    street.run(400);
    street.amplitude = 3_000.0;
    street.tells = vec![Some((LOUD, false)), Some((LOUD, true))];
    street.run(2_000);
    assert_eq!(speaking(&mut street), [1]);
    check(&street.run(400), &[".x", "x."]);
    street.tells[0] = Some((LOUD, true));
    street.run(1_000);
    assert_eq!(speaking(&mut street), [0]);
}

#[test]
fn what_is_said_without_being_agreed_on_is_not_read() {
    let mut street = Street::new(2);
    for leg in 0..2 {
        let options = LegOptions { audio_level: None, ..options(leg, 20) };
        street.command(Command::UpdateLeg(LegId(leg), Box::new(options)));
    }
    street.tells = vec![Some((30, true)); 2];
    street.run(2_000);
    assert_eq!(levels(&street), [LOUD; 2]);
    check(&street.run(400), &[".x", "x."]);
}
