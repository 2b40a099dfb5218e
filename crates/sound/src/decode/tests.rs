use std::f64::consts::TAU;

use super::*;

/// How a WAV file writes a sample: tag, bits, and the octets of a sample between -1 and 1.
type Coding = (&'static str, u16, u16, fn(f64) -> Vec<u8>);

const CODINGS: [Coding; 8] = [
    ("u8", 1, 8, |x| vec![(x * 127.0 + 128.0).round() as u8]),
    ("s16", 1, 16, |x| ((x * 32_767.0) as i16).to_le_bytes().to_vec()),
    ("s24", 1, 24, |x| ((x * 8_388_607.0) as i32).to_le_bytes()[..3].to_vec()),
    ("s32", 1, 32, |x| ((x * 2_147_483_647.0) as i32).to_le_bytes().to_vec()),
    ("f32", 3, 32, |x| (x as f32).to_le_bytes().to_vec()),
    ("f64", 3, 64, |x| x.to_le_bytes().to_vec()),
    ("a-law", 6, 8, |x| vec![alaw(x)]),
    ("µ-law", 7, 8, |x| vec![ulaw(x)]),
];

/// G.711 A-law: the sign, three bits for the segment and four within it.
fn alaw(x: f64) -> u8 {
    let size = (x.abs() * 32_767.0) as u32 >> 3;
    let segment = if size < 32 { 0 } else { size.ilog2() - 4 };
    let code = (segment << 4 | size >> segment.max(1) & 15) as u8;
    code ^ if x < 0.0 { 0x55 } else { 0xD5 }
}

/// G.711 µ-law, the same with a bias.
fn ulaw(x: f64) -> u8 {
    let size = ((x.abs() * 32_767.0) as u32 >> 2).min(8_158) + 33;
    let segment = size.ilog2() - 5;
    let code = (segment << 4 | size >> (segment + 1) & 15) as u8;
    !(code | if x < 0.0 { 0x80 } else { 0 })
}

/// A second of 1 kHz at half of full scale.
fn wav_file(rate: u32, channels: u16, (_, tag, bits, write): Coding, extensible: bool) -> Vec<u8> {
    let mut format = Vec::new();
    let align = channels * bits / 8;
    for word in [if extensible { 0xFFFE } else { tag }, channels] {
        format.extend(word.to_le_bytes());
    }
    format.extend(rate.to_le_bytes());
    format.extend((rate * u32::from(align)).to_le_bytes());
    for word in [align, bits] {
        format.extend(word.to_le_bytes());
    }
    if extensible {
        format.extend([22, 0]);
        format.extend(bits.to_le_bytes());
        format.extend([0; 4]);
        format.extend(tag.to_le_bytes());
        format.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
    }
    let mut data = Vec::new();
    for index in 0..rate {
        let sample = (f64::from(index) * 1_000.0 / f64::from(rate) * TAU).sin() * 0.5;
        (0..channels).for_each(|_| data.extend(write(sample)));
    }
    let chunk =
        |id: &[u8; 4], body: &[u8]| [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &format), chunk(b"data", &data)].concat();
    chunk(b"RIFF", &body)
}

/// The amplitude of a tone.
fn amplitude(sound: &[i16], hertz: f64) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, &sample) in sound.iter().enumerate() {
        let phase = index as f64 * hertz / 8_000.0 * TAU;
        real += f64::from(sample) * phase.cos();
        imaginary += f64::from(sample) * phase.sin();
    }
    f64::hypot(real, imaginary) * 2.0 / sound.len() as f64
}

#[test]
fn every_usual_wav_sounds_the_same() {
    for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        for channels in [1, 2] {
            for coding in CODINGS {
                for extensible in [false, true] {
                    let about = format!("{} at {rate} Hz, {channels}, {extensible}", coding.0);
                    let sound = decode(wav_file(rate, channels, coding, extensible));
                    let sound = sound.unwrap_or_else(|error| panic!("{about}: {error}"));
                    assert!(sound.len().abs_diff(8_000) < 4, "{about}: {}", sound.len());
                    let tone = amplitude(&sound[400..7_600], 1_000.0);
                    assert!((tone - 16_384.0).abs() < 500.0, "{about}: {tone}");
                }
            }
        }
    }
}

#[test]
fn what_is_written_as_wav_is_read_bit_exact() {
    let sound: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    assert_eq!(decode(crate::wav(&sound)).unwrap(), sound);
}

#[test]
fn a_picture_a_torso_and_nothing_are_refused() {
    let torso = crate::wav(&[1; 100])[..40].to_vec();
    for octets in
        [b"GIF89a....".to_vec(), torso, Vec::new(), b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec()]
    {
        assert!(decode(octets).is_err());
    }
}

#[test]
fn what_is_longer_than_the_limit_is_left_out() {
    let octets = vec![0xFF; longest() + 80_000];
    let mut file = wav_file(8_000, 1, CODINGS[7], false);
    file.truncate(file.len() - 8_000);
    file.extend(octets);
    let at = file.windows(4).position(|id| id == b"data").unwrap();
    file[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode(file).unwrap().len(), longest());
}

/// Writes bits, the highest first.
#[derive(Default)]
struct Bits {
    octets: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, width: u32, value: u32) {
        for bit in (0..width).rev() {
            if self.used.is_multiple_of(8) {
                self.octets.push(0);
            }
            let last = self.octets.last_mut().unwrap();
            *last |= u8::from(value >> bit & 1 == 1) << (7 - self.used % 8);
            self.used += 1;
        }
    }
}

/// One MPEG layer III frame in which one line of the spectrum is 1 and all others are 0.
///
/// Source: ISO/IEC 11172-3, 2.4.1, and 13818-3, 2.4.1.
fn mp3_frame(rate: u32, channels: u32, bitrate: usize, hertz: u32) -> Vec<u8> {
    let (version, rate_index) = match rate {
        44_100 | 48_000 | 32_000 => (3, [44_100, 48_000, 32_000].iter().position(|&r| r == rate)),
        22_050 | 24_000 | 16_000 => (2, [22_050, 24_000, 16_000].iter().position(|&r| r == rate)),
        _ => (0, [11_025, 12_000, 8_000].iter().position(|&r| r == rate)),
    };
    let first = version == 3;
    let kilobits = if first {
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320][bitrate]
    } else {
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160][bitrate]
    };
    let size = if first { 144_000 } else { 72_000 } * kilobits / rate;
    let mut bits = Bits::default();
    bits.put(11, 0x7FF);
    bits.put(2, version);
    bits.put(3, 0b011);
    bits.put(4, bitrate as u32);
    bits.put(2, rate_index.unwrap() as u32);
    bits.put(2, 0);
    bits.put(8, if channels == 1 { 0xC0 } else { 0 });
    // The spectrum: pairs of table 1, all (0, 0) but the last, which is (1, 0).
    let pair = hertz * 1_152 / rate / 2;
    let length = pair + 3;
    let granules = if first { 2 } else { 1 };
    bits.put(if first { 9 } else { 8 }, 0);
    bits.put(if first { if channels == 1 { 5 } else { 3 } } else { channels }, 0);
    bits.put(if first { 4 * channels } else { 0 }, 0);
    for _ in 0..granules * channels {
        bits.put(12, length);
        bits.put(9, pair + 1);
        bits.put(8, 204);
        bits.put(if first { 4 } else { 9 }, 0);
        bits.put(1, 0);
        (0..3).for_each(|_| bits.put(5, 1));
        bits.put(7, 0);
        bits.put(if first { 3 } else { 2 }, 0);
    }
    for _ in 0..granules * channels {
        (0..pair).for_each(|_| bits.put(1, 1));
        bits.put(3, 0b010);
    }
    bits.octets.resize(size as usize, 0);
    bits.octets
}

fn mp3_file(rate: u32, channels: u32, bitrates: &[usize]) -> Vec<u8> {
    let frames = rate / if rate >= 32_000 { 1_152 } else { 576 } + 1;
    let bitrates = bitrates.iter().cycle().take(frames as usize);
    bitrates.flat_map(|&bitrate| mp3_frame(rate, channels, bitrate, 1_000)).collect()
}

/// Judges whether a second of something around 1 kHz is heard.
#[track_caller]
fn assert_mp3(octets: Vec<u8>, about: &str) {
    let sound = decode(octets).unwrap_or_else(|error| panic!("{about}: {error}"));
    assert!((7_000..9_500).contains(&sound.len()), "{about}: {}", sound.len());
    let sound = &sound[1_000..6_000];
    let power: f64 = sound.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 5_000.0;
    // The bins of a transform of this length: what is summed is all that is in the band.
    let near: f64 =
        (530..730).map(|bin| amplitude(sound, 1.6 * f64::from(bin)).powi(2) / 2.0).sum();
    assert!(power.sqrt() > 100.0, "{about}: silent, {}", power.sqrt());
    assert!(near > 0.5 * power, "{about}: {near} of {power} is near 1 kHz");
}

#[test]
fn every_usual_mp3_is_heard() {
    for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        for channels in [1, 2] {
            assert_mp3(mp3_file(rate, channels, &[8]), &format!("{rate} Hz, {channels}"));
        }
    }
}

#[test]
fn mp3_files_have_odd_beginnings_and_ends_and_changing_bitrates() {
    let plain = mp3_file(44_100, 2, &[9]);
    let mut tag = b"ID3\x04\0\0\0\0\x02\x01".to_vec();
    tag.resize(10 + 257, 0xAA);
    for (about, octets) in [
        ("VBR", mp3_file(44_100, 2, &[5, 9, 14, 7])),
        ("with a tag", [&tag[..], &plain].concat()),
        ("with two tags", [&tag[..], &tag, &plain].concat()),
        ("with junk before it", [&[0x11; 700][..], &plain].concat()),
        ("with junk after it", [&plain[..], &[0x11; 700]].concat()),
        ("with ID3v1 after it", [&plain[..], b"TAG", &[b' '; 125]].concat()),
        ("with a torso after it", [&plain[..], &plain[..100]].concat()),
    ] {
        assert_mp3(octets, about);
    }
}

#[test]
fn no_mutant_panics_or_grows() {
    let sources = [
        wav_file(8_000, 1, CODINGS[1], false),
        wav_file(44_100, 2, CODINGS[2], true),
        wav_file(16_000, 1, CODINGS[6], false),
        mp3_file(44_100, 2, &[5, 9]),
        mp3_file(16_000, 1, &[8]),
    ];
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    for source in sources {
        for round in 0..60 {
            let mut octets = source[..source.len().min(20_000)].to_vec();
            for _ in 0..1 + round % 7 {
                // Half of the changes fall on what tells what the rest is.
                let at = next(if round % 2 == 0 { 64 } else { octets.len() });
                match next(5) {
                    0 => octets[at] ^= 1 << next(8),
                    1 => octets[at..].iter_mut().take(4).for_each(|octet| *octet = 0xFF),
                    2 => octets[at..].iter_mut().take(4).for_each(|octet| *octet = 0),
                    3 => octets[at] = next(256) as u8,
                    _ => octets.truncate(64.max(next(octets.len()))),
                }
            }
            let most = longest();
            assert!(decode(octets).map_or(0, |sound| sound.len()) <= most);
        }
    }
}
