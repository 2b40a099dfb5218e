use ropus::opus::decoder::{MODE_CELT_ONLY, MODE_HYBRID, MODE_SILK_ONLY};
use ropus::{
    OPUS_APPLICATION_VOIP, OPUS_BANDWIDTH_FULLBAND, OPUS_BANDWIDTH_MEDIUMBAND,
    OPUS_BANDWIDTH_NARROWBAND, OPUS_BANDWIDTH_WIDEBAND, OpusDecoder, OpusEncoder,
};

use super::*;
use crate::codec::tests::{likeness, power, voice};
use crate::codec::{Codec, OpusOptions, PAYLOAD_MAX, PCM_MAX};

/// What an encoder is told before a packet: its mode and bandwidth.
type Setting = (i32, i32);

/// Returns packets of a voice, each of so many samples.
fn packets(channels: usize, samples: usize, setting: impl Fn(usize) -> Setting) -> Vec<Vec<u8>> {
    let mono = voice(Codec::Opus(OpusOptions::default()), 50);
    let said: Vec<i16> =
        mono.iter().flat_map(|&sample| [sample, sample / 2].into_iter().take(channels)).collect();
    let encoder = OpusEncoder::new(48_000, channels as i32, OPUS_APPLICATION_VOIP);
    let mut encoder = encoder.expect("48 kHz, and one channel or two");
    encoder.set_bitrate(24_000 * channels as i32);
    let packet = |(number, said): (usize, &[i16])| {
        let (mode, bandwidth) = setting(number);
        encoder.set_force_mode(mode);
        encoder.set_max_bandwidth(bandwidth);
        let mut packet = vec![0; PAYLOAD_MAX];
        let room = packet.len() as i32;
        let written = encoder.encode(said, samples as i32, &mut packet, room);
        packet.truncate(written.expect("a frame that there is") as usize);
        packet
    };
    said.chunks_exact(samples * channels).enumerate().map(packet).collect()
}

/// Returns the same by ours and by the library's own decoder.
fn decoded(packets: &[Vec<u8>], samples: usize) -> [Vec<i16>; 2] {
    let (mut ours, mut heard) = (Frames::new(), [Vec::new(), Vec::new()]);
    let mut whole = OpusDecoder::new(48_000, 1).expect("48 kHz and one channel");
    for packet in packets {
        let mut sounds = [vec![0; samples], vec![0; samples]];
        assert_eq!(ours.decode(packet, &mut sounds[0]), Some(()));
        let made = whole.decode(Some(packet), &mut sounds[1], samples as i32, false);
        assert_eq!(made, Ok(samples as i32));
        heard.iter_mut().zip(sounds).for_each(|(heard, sound)| heard.extend(sound));
    }
    heard
}

#[test]
fn every_mode_length_and_number_of_channels_is_decoded_as_by_the_library() {
    let mut seen = std::collections::BTreeSet::new();
    for channels in [1, 2] {
        for samples in [120, 240, 480, 960, 1_920, 2_880] {
            for setting in [
                (MODE_SILK_ONLY, OPUS_BANDWIDTH_NARROWBAND),
                (MODE_SILK_ONLY, OPUS_BANDWIDTH_MEDIUMBAND),
                (MODE_SILK_ONLY, OPUS_BANDWIDTH_WIDEBAND),
                (MODE_HYBRID, OPUS_BANDWIDTH_FULLBAND),
                (MODE_CELT_ONLY, OPUS_BANDWIDTH_NARROWBAND),
                (MODE_CELT_ONLY, OPUS_BANDWIDTH_FULLBAND),
            ] {
                if setting.0 != MODE_CELT_ONLY && samples < 480 {
                    continue;
                }
                let packets = packets(channels, samples, |_| setting);
                seen.extend(packets.iter().map(|packet| packet[0] >> 3));
                let [ours, theirs] = decoded(&packets, samples);
                assert!(ours == theirs, "{channels}, {samples}, {setting:?}");
                assert!(power(&ours) > 1e5, "{channels}, {samples}, {setting:?}");
            }
        }
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn from_one_mode_to_another_there_is_no_crack() {
    let modes = [
        (MODE_SILK_ONLY, OPUS_BANDWIDTH_WIDEBAND),
        (MODE_CELT_ONLY, OPUS_BANDWIDTH_FULLBAND),
        (MODE_HYBRID, OPUS_BANDWIDTH_FULLBAND),
        (MODE_CELT_ONLY, OPUS_BANDWIDTH_FULLBAND),
        (MODE_HYBRID, OPUS_BANDWIDTH_FULLBAND),
    ];
    for samples in [480, 960] {
        let packets = packets(1, samples, |number| modes[number / 5 % modes.len()]);
        let [ours, theirs] = decoded(&packets, samples);
        // Where one is concealed on its way out, ours has more pitch.
        let alike = likeness(&theirs[..theirs.len() - 1_000], &ours);
        assert!(alike > 25.0, "{samples}: {alike:.1} dB");
    }
}

#[test]
fn a_voice_keeps_its_pitch_where_a_frame_is_lost() {
    for bandwidth in [OPUS_BANDWIDTH_NARROWBAND, OPUS_BANDWIDTH_MEDIUMBAND, OPUS_BANDWIDTH_WIDEBAND]
    {
        let packets = packets(1, 960, |_| (MODE_SILK_ONLY, bandwidth));
        let [whole, _] = decoded(&packets, 960);
        let mut off = 0.0;
        for lost in 12..48 {
            let mut frames = Frames::new();
            let mut sound = [0; 960];
            for packet in &packets[..lost] {
                frames.decode(packet, &mut sound);
            }
            assert_eq!(frames.conceal(&mut sound), Some(()));
            let there = &whole[lost * 960..][..960];
            let gone: Vec<i16> =
                there.iter().zip(sound).map(|(a, b)| a.saturating_sub(b)).collect();
            off += power(&gone) / power(there);
        }
        assert!(off / 36.0 < 0.7, "{bandwidth}: {:.2}", off / 36.0);
    }
}

#[test]
fn a_loss_of_any_length_fades_and_is_no_shock() {
    for setting in [
        (MODE_SILK_ONLY, OPUS_BANDWIDTH_WIDEBAND),
        (MODE_HYBRID, OPUS_BANDWIDTH_FULLBAND),
        (MODE_CELT_ONLY, OPUS_BANDWIDTH_FULLBAND),
    ] {
        let packets = packets(1, 960, |_| setting);
        for units in [1, 2, 3, 4, 7, 8, 13, 48] {
            let mut frames = Frames::new();
            let mut sound = vec![0; PCM_MAX];
            for packet in &packets[..20] {
                frames.decode(packet, &mut sound[..960]);
            }
            let loud = power(&sound[..960]);
            for _ in 0..100 {
                assert_eq!(frames.conceal(&mut sound[..units * UNIT]), Some(()));
                let now = power(&sound[..units * UNIT]);
                assert!(now < 4.0 * loud, "{setting:?}, {units}: {now} after {loud}");
            }
            let end = power(&sound[..units * UNIT]);
            // A transform leaves the noise that was there all the time.
            assert!(units < 4 || end < loud / 4.0, "{setting:?}, {units}: {end} after {loud}");
            assert_eq!(frames.decode(&packets[20], &mut sound[..960]), Some(()));
            assert!(power(&sound[..960]) < 4.0 * loud, "{setting:?}, {units}");
        }
    }
}
