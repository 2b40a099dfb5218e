//! Codecs, and what is said of them.
//!
//! Source: RFC 3551 table 4, RFC 7587 sections 6.1 and 7.

/// A voice codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// μ-law at 8 kHz.
    Pcmu,
    /// A-law at 8 kHz.
    Pcma,
    /// 16 kHz, though its clock is said to run at 8 kHz.
    G722,
    /// 48 kHz.
    Opus(OpusParameters),
}

/// What whoever wrote a description wants to be sent of Opus, and will send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusParameters {
    /// Hertz that it can play, 8,000 to 48,000.
    pub playback_rate: u32,
    /// Bits a second at most, 6,000 to 510,000; none: it does not say.
    pub average_bitrate: Option<u32>,
    /// Whether it prefers two channels.
    pub stereo: bool,
    /// Whether it can make use of in-band error correction.
    pub fec: bool,
    /// Whether it prefers that silence is not sent.
    pub dtx: bool,
    /// Whether it prefers a constant bitrate.
    pub cbr: bool,
    /// Hertz that it will send at most.
    pub capture_rate: u32,
    /// Whether it is likely to send two channels.
    pub sends_stereo: bool,
}

impl Default for OpusParameters {
    /// Makes what holds where nothing is said.
    fn default() -> Self {
        Self {
            playback_rate: RATES.1,
            average_bitrate: None,
            stereo: false,
            fec: false,
            dtx: false,
            cbr: false,
            capture_rate: RATES.1,
            sends_stereo: false,
        }
    }
}

/// Hertz that Opus is spoken of, the least and the most.
const RATES: (u32, u32) = (8_000, 48_000);
/// Its bits a second, the least and the most.
const BITRATES: (u32, u32) = (6_000, 510_000);
/// Parameters of one codec that are read.
const PARAMETERS_MAX: usize = 32;

impl OpusParameters {
    /// Reads the parameters of an `a=fmtp` line. What makes no sense is as if it were not there.
    pub(super) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for parameter in text.split(';').take(PARAMETERS_MAX) {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let Ok(number) = value.trim().parse::<u32>() else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "maxplaybackrate" => read.playback_rate = number.clamp(RATES.0, RATES.1),
                "sprop-maxcapturerate" => read.capture_rate = number.clamp(RATES.0, RATES.1),
                "maxaveragebitrate" => {
                    read.average_bitrate = Some(number.clamp(BITRATES.0, BITRATES.1));
                }
                "stereo" => read.stereo = number == 1,
                "sprop-stereo" => read.sends_stereo = number == 1,
                "useinbandfec" => read.fec = number == 1,
                "usedtx" => read.dtx = number == 1,
                "cbr" => read.cbr = number == 1,
                _ => {}
            }
        }
        read
    }

    /// Writes what is not as it would be where nothing is said.
    fn write(&self) -> String {
        let mut said = Vec::new();
        if self.playback_rate != RATES.1 {
            said.push(format!("maxplaybackrate={}", self.playback_rate));
        }
        if self.capture_rate != RATES.1 {
            said.push(format!("sprop-maxcapturerate={}", self.capture_rate));
        }
        if let Some(bitrate) = self.average_bitrate {
            said.push(format!("maxaveragebitrate={bitrate}"));
        }
        for (flag, name) in [
            (self.stereo, "stereo"),
            (self.sends_stereo, "sprop-stereo"),
            (self.fec, "useinbandfec"),
            (self.dtx, "usedtx"),
            (self.cbr, "cbr"),
        ] {
            if flag {
                said.push(format!("{name}=1"));
            }
        }
        said.join(";")
    }
}

impl Codec {
    /// Returns the codec of a payload type: by the name that `a=rtpmap` gives it, or as RFC 3551 has it.
    pub(super) fn of(number: u8, name: Option<&str>, parameters: Option<&str>) -> Option<Self> {
        let Some(name) = name else {
            return match number {
                0 => Some(Self::Pcmu),
                8 => Some(Self::Pcma),
                9 => Some(Self::G722),
                _ => None,
            };
        };
        let name = name.to_ascii_uppercase();
        let is = |known: &str| name.starts_with(known);
        match () {
            () if is("PCMU/8000") => Some(Self::Pcmu),
            () if is("PCMA/8000") => Some(Self::Pcma),
            () if is("G722/8000") => Some(Self::G722),
            () if is("OPUS/48000") => {
                Some(Self::Opus(OpusParameters::parse(parameters.unwrap_or_default())))
            }
            () => None,
        }
    }

    /// Returns the codec that a setting names, with what we want of it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pcmu" => Some(Self::Pcmu),
            "pcma" => Some(Self::Pcma),
            "g722" => Some(Self::G722),
            "opus" => Some(Self::Opus(OpusParameters { fec: true, ..OpusParameters::default() })),
            _ => None,
        }
    }

    /// Whether both are the same, whatever is said of them.
    pub(super) fn is(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Returns the payload type under which we offer it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus(_) => 96,
        }
    }

    /// Returns the packet times that we speak it in, in milliseconds: frames of Opus have 10, or 20 joined.
    pub(super) fn packet_times(self) -> &'static [u8] {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => &[10, 20, 30, 40, 60],
            Self::Opus(_) => &[10, 20, 40, 60],
        }
    }

    /// Returns the rate of its timestamps.
    pub(super) fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus(_) => 48_000,
        }
    }

    /// Writes its lines.
    pub(super) fn write(self, number: u8) -> String {
        let name = match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus(_) => "opus/48000/2",
        };
        let map = format!("a=rtpmap:{number} {name}\r\n");
        match self {
            Self::Opus(parameters) if parameters != OpusParameters::default() => {
                format!("{map}a=fmtp:{number} {}\r\n", parameters.write())
            }
            _ => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: OpusParameters) {
        let read = OpusParameters::parse(text);
        assert_eq!(read, expected, "{text}");
        assert_eq!(OpusParameters::parse(&read.write()), expected, "{text} written again");
    }

    #[test]
    fn parameters_of_opus_are_read_within_bounds() {
        let nothing = OpusParameters::default();
        check("", nothing);
        check("minptime=10; useinbandfec=1", OpusParameters { fec: true, ..nothing });
        check(
            "STEREO=1;usedtx = 1;cbr=1",
            OpusParameters { stereo: true, dtx: true, cbr: true, ..nothing },
        );
        check("maxplaybackrate=16000;sprop-maxcapturerate=8000;sprop-stereo=1", {
            OpusParameters {
                playback_rate: 16_000,
                capture_rate: 8_000,
                sends_stereo: true,
                ..nothing
            }
        });
        check("maxplaybackrate=1;maxaveragebitrate=20000", {
            OpusParameters { playback_rate: 8_000, average_bitrate: Some(20_000), ..nothing }
        });
        check("maxaveragebitrate=4294967295;maxplaybackrate=96000", {
            OpusParameters { average_bitrate: Some(510_000), ..nothing }
        });
        check("useinbandfec=yes;stereo=2;maxplaybackrate=-1;;=;x", nothing);
    }
}
