//! What other conference servers, phones and people get wrong, and the tests that hold it: the one list of them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

const STREET: &str = "crates/media/tests/street/regression.rs";
const ODD: &str = "crates/media/tests/street/odd.rs";
const SHARD: &str = "crates/media/src/tests.rs";

/// Each defect, and the tests that would show it: their files and names.
const DEFECTS: &[(&str, &[(&str, &str)])] = &[
    (
        "a loud sum of three talkers wraps, or brings back an own voice",
        &[
            (STREET, "three_who_shout_neither_wrap_nor_bring_back_an_own_voice"),
            (SHARD, "own_voice_is_gone_even_when_the_sum_is_over_full_scale"),
            ("crates/media/src/limiter.rs", "three_loud_talkers_are_heard_without_distortion"),
        ],
    ),
    (
        "a tone of ten minutes has breaks",
        &[
            (STREET, "a_tone_of_ten_minutes_has_no_break"),
            ("crates/e2e/tests/ears.rs", "a_tone_of_a_minute_is_heard_to_its_end"),
        ],
    ),
    (
        "packets of 1, 10 or 60 ms are not understood",
        &[
            (STREET, "packets_of_one_to_a_hundred_and_twenty_milliseconds_are_heard_alike"),
            (SHARD, "one_talker_passes_bit_exact"),
        ],
    ),
    (
        "packets that come in bursts, or all at once after a gap, break the sound",
        &[
            (STREET, "packets_that_come_in_bursts_are_heard_without_a_break"),
            (STREET, "what_comes_at_once_after_a_gap_leaves_no_lasting_delay"),
        ],
    ),
    (
        "clocks that drift by 200 ppm are heard as clicks, or as ever more delay",
        &[(STREET, "clocks_that_drift_for_an_hour_are_followed_without_a_click")],
    ),
    (
        "the first syllable is cut off",
        &[(STREET, "the_first_syllable_is_heard_from_its_beginning")],
    ),
    (
        "who is held hears the room once the file is over",
        &[
            (STREET, "who_is_held_hears_the_file_and_after_its_end_nothing"),
            (
                "crates/e2e/tests/checklist/main.rs",
                "row_06_a_file_plays_once_and_an_endless_loop_does_not",
            ),
        ],
    ),
    (
        "the music of a held member's own phone reaches the room",
        &[
            (STREET, "what_a_held_phone_plays_itself_reaches_nobody"),
            ("crates/e2e/tests/matrix/main.rs", "any_order_of_updates_is_heard_as_the_model_says"),
        ],
    ),
    (
        "a coach is heard by who comes later, or by all once the coached has left",
        &[
            (STREET, "a_coach_reaches_nobody_else_whoever_comes_and_goes"),
            (SHARD, "a_coach_is_heard_by_the_coached_alone"),
        ],
    ),
    (
        "who is louder or softer than others hears an echo of itself",
        &[
            (STREET, "a_gain_other_than_one_brings_no_echo"),
            (SHARD, "a_gain_is_how_loud_the_others_hear_a_leg"),
        ],
    ),
    (
        "G.711 and 48 kHz alias into each other",
        &[
            (STREET, "neither_alias_nor_image_comes_between_telephones_and_opus"),
            (
                "crates/media/src/resample/tests.rs",
                "no_alias_of_what_is_lowered_is_above_minus_60_db",
            ),
            (
                "crates/media/src/resample/tests.rs",
                "no_image_of_what_is_raised_is_above_minus_60_db",
            ),
        ],
    ),
    (
        "a change of rate or codec in the middle is a hiccup",
        &[
            (STREET, "a_change_of_codec_in_a_room_is_no_hiccup"),
            (ODD, "a_phone_may_change_its_codec_without_a_word"),
        ],
    ),
    (
        "a thousand rooms of one take a processor",
        &[(STREET, "a_thousand_rooms_of_one_who_waits_take_no_more_than_their_packets")],
    ),
    (
        "junk on one leg harms the others",
        &[
            (SHARD, "junk_on_one_leg_harms_nobody"),
            (ODD, "packets_that_hold_too_much_or_nothing_are_nothing"),
            (ODD, "sound_of_48_khz_under_the_name_of_8_khz_harms_nobody"),
            (
                "crates/media/src/tests/protected.rs",
                "strangers_and_a_flood_of_garbage_change_nothing",
            ),
        ],
    ),
    (
        "a POST without Muted unmutes",
        &[
            ("crates/e2e/tests/matrix/main.rs", "any_order_of_updates_is_heard_as_the_model_says"),
            ("crates/e2e/tests/checklist/main.rs", "row_08_who_comes_back_is_as_muted_as_before"),
        ],
    ),
];

/// What phones and people get wrong, and the tests by which nobody else notices.
const BAD_INPUT: &[(&str, &[(&str, &str)])] = &[
    (
        "no codec in common: 488",
        &[
            ("crates/e2e/tests/codecs.rs", "a_server_that_speaks_less_agrees_on_what_is_left"),
            ("crates/e2e/tests/sipp.rs", "a_request_that_makes_no_call_leaves_nothing_behind"),
        ],
    ),
    (
        "SRTP demanded and not offered: 488 with Warning",
        &[
            ("crates/e2e/tests/sip_tls.rs", "a_secure_domain_tells_plain_callers_what_it_demands"),
            (
                "crates/sip/src/tests/protection.rs",
                "a_user_has_a_policy_before_that_of_all_who_have_registered",
            ),
        ],
    ),
    (
        "a wrong key: counted, silent, the call lives",
        &[
            (ODD, "a_phone_with_another_key_is_silent_and_counted_and_stays"),
            (
                "crates/e2e/tests/secured.rs",
                "baresip_calls_in_encrypted_and_strangers_change_nothing",
            ),
        ],
    ),
    ("another codec without a word", &[(ODD, "a_phone_may_change_its_codec_without_a_word")]),
    ("Opus in two channels", &[(ODD, "opus_in_two_channels_is_heard_as_one")]),
    (
        "packets of 120 ms, and longer ones",
        &[
            (STREET, "packets_of_one_to_a_hundred_and_twenty_milliseconds_are_heard_alike"),
            (ODD, "packets_that_hold_too_much_or_nothing_are_nothing"),
        ],
    ),
    ("repetitions that are none", &[(ODD, "what_opus_says_of_its_repetitions_need_not_be_true")]),
    (
        "payload types that were not announced",
        &[(ODD, "payload_types_that_nobody_spoke_of_are_not_heard")],
    ),
    (
        "48 kHz under the name of 8",
        &[(ODD, "sound_of_48_khz_under_the_name_of_8_khz_harms_nobody")],
    ),
    (
        "an expired certificate, at the start and while it runs",
        &[
            ("crates/e2e/tests/sip_tls.rs", "a_server_does_not_start_with_an_expired_certificate"),
            (
                "crates/e2e/tests/sip_tls.rs",
                "sip_takes_a_new_certificate_while_it_runs_and_keeps_it_where_the_next_has_expired",
            ),
        ],
    ),
    (
        "half as many calls again as there is time for",
        &[
            (
                "crates/sim/tests/overload.rs",
                "of_half_as_many_calls_again_as_there_is_time_for_the_first_keep_their_sound",
            ),
            (
                "crates/e2e/tests/impaired/overload.rs",
                "speech_is_as_good_while_half_as_many_calls_again_are_offered_as_there_is_time_for",
            ),
        ],
    ),
];

#[test]
fn every_defect_and_every_mistake_has_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    for (defect, tests) in DEFECTS.iter().chain(BAD_INPUT) {
        assert!(!tests.is_empty(), "no test holds that {defect}");
        for (file, test) in *tests {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let is_it = |pair: &[&str]| {
                let is_test =
                    pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test");
                is_test && pair[1].contains(&format!("fn {test}()"))
            };
            assert!(lines.windows(2).any(is_it), "{file} has no {test}: {defect}");
        }
    }
}
