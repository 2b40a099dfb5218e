//! Keys for SRTP, in descriptions.
//!
//! Source: RFC 4568 sections 4, 6 and 9, RFC 7714 section 14.2.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rand_chacha::rand_core::RngCore;

/// Octets of the longest master key with its salt.
const KEYS_MAX: usize = 32 + 14;
/// Some write the padding and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a call's sound is encrypted, the stricter the greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SrtpPolicy {
    /// It never is.
    Off,
    /// It is where the caller offers it; we offer it, so that who does not know it can pass it over, where SIP
    /// itself is encrypted. Source: RFC 8643.
    #[default]
    Optional,
    /// A call whose sound is not is refused.
    Mandatory,
}

/// How SRTP encrypts and authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128HmacSha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

impl Suite {
    /// In the order in which we offer them.
    pub(crate) const ALL: [Self; 4] = [
        Self::AeadAes128Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AeadAes256Gcm,
        Self::AesCm128HmacSha1_32,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Returns the octets of its key and of its salt.
    fn lengths(self) -> (usize, usize) {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => (16, 14),
            Self::AeadAes128Gcm => (16, 12),
            Self::AeadAes256Gcm => (32, 12),
        }
    }
}

/// A master key and its salt, for one direction. It shows neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    suite: Suite,
    octets: [u8; KEYS_MAX],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl Keys {
    /// Returns what they are for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the master key.
    pub fn key(&self) -> &[u8] {
        &self.octets[..self.suite.lengths().0]
    }

    /// Returns the master salt.
    pub fn salt(&self) -> &[u8] {
        let (key, salt) = self.suite.lengths();
        &self.octets[key..key + salt]
    }

    pub(crate) fn draw(suite: Suite, random: &mut impl RngCore) -> Self {
        let (key, salt) = suite.lengths();
        let mut octets = [0; KEYS_MAX];
        random.fill_bytes(&mut octets[..key + salt]);
        Self { suite, octets }
    }

    fn read(suite: Suite, text: &str) -> Option<Self> {
        let read = BASE64.decode(text).ok()?;
        let (key, salt) = suite.lengths();
        let mut octets = [0; KEYS_MAX];
        let fits = read.len() == key + salt;
        fits.then(|| octets[..read.len()].copy_from_slice(&read))?;
        Some(Self { suite, octets })
    }
}

/// What protects a call's sound: a key for each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Under which we send.
    pub ours: Keys,
    /// Under which the far end sends.
    pub theirs: Keys,
}

/// One `a=crypto` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crypto {
    pub tag: u32,
    pub keys: Keys,
}

impl Crypto {
    /// Reads what stands behind `a=crypto:`; nothing where it is one that we could not keep to the letter.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let tag = words.next().filter(|tag| tag.len() <= 9)?.parse().ok()?;
        let name = words.next()?;
        let suite = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))?;
        let mut parts = words.next()?.strip_prefix("inline:")?.split('|');
        let keys = Keys::read(suite, parts.next()?)?;
        // A lifetime binds its sender, who has to bring a new key in time. What else may stand here is the
        // identifier of a master key, which would be in each packet.
        let lifetime = |part: &str| part.strip_prefix("2^").unwrap_or(part).parse::<u64>().is_ok();
        if !parts.all(lifetime) || !words.all(harmless) {
            return None;
        }
        Some(Self { tag, keys })
    }

    /// Writes the line.
    pub fn write(&self) -> String {
        let (key, salt) = self.keys.suite.lengths();
        let inline = BASE64.encode(&self.keys.octets[..key + salt]);
        format!("a=crypto:{} {} inline:{inline}\r\n", self.tag, self.keys.suite.name())
    }
}

/// Whether a parameter of a session asks for nothing that we do not do anyway.
fn harmless(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_uppercase();
    parameter == "KDR=0" || parameter.starts_with("WSH=") || parameter.starts_with("-")
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const KEY: &str = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[track_caller]
    fn check(line: &str, taken: bool) {
        let read = Crypto::parse(line);
        assert_eq!(read.is_some(), taken, "{line}");
        if let Some(read) = read {
            let written = read.write();
            assert_eq!(
                Crypto::parse(written.trim_end().strip_prefix("a=crypto:").unwrap()),
                Some(read)
            );
        }
    }

    #[test]
    fn a_line_is_taken_where_it_can_be_kept_to_the_letter() {
        let suite = "AES_CM_128_HMAC_SHA1_80";
        check(&format!("1 {suite} {KEY}"), true);
        check(&format!("999999999 {} {KEY}", suite.to_lowercase()), true);
        check(&format!("1 {suite} {KEY}|2^20 WSH=64 KDR=0"), true);
        check(&format!("1 {suite} {KEY}|1048576"), true);
        check("2 AEAD_AES_128_GCM inline:Fu8vxnU4x1fcCzbhNrtV0eq4RnaK4n2/jarOig==", true);
        check("2 AEAD_AES_128_GCM inline:Fu8vxnU4x1fcCzbhNrtV0eq4RnaK4n2/jarOig", true);
        // The identifier of a master key, several keys, and what we do not speak.
        check(&format!("1 {suite} {KEY}|2^20|1:4"), false);
        check(&format!("1 {suite} {KEY}|1:32"), false);
        check(&format!("1 {suite} {KEY};{KEY}"), false);
        check(&format!("1 {suite} {KEY} UNENCRYPTED_SRTP"), false);
        check(&format!("1 {suite} {KEY} UNAUTHENTICATED_SRTP"), false);
        check(&format!("1 {suite} {KEY} KDR=3"), false);
        check(&format!("1 F8_128_HMAC_SHA1_80 {KEY}"), false);
        check(&format!("1 AEAD_AES_256_GCM {KEY}"), false);
        check(&format!("x {suite} {KEY}"), false);
        check(&format!("1 {suite} inline:!"), false);
        check(&format!("1 {suite}"), false);
        check("", false);
    }

    #[test]
    fn keys_are_drawn_and_do_not_show_themselves() {
        let mut random = ChaCha12Rng::from_seed([7; 32]);
        for suite in Suite::ALL {
            let (one, other) = (Keys::draw(suite, &mut random), Keys::draw(suite, &mut random));
            assert_ne!(one, other);
            check(Crypto { tag: 1, keys: one }.write().strip_prefix("a=crypto:").unwrap(), true);
            let lengths = (one.key().len(), one.salt().len());
            assert_eq!(lengths, suite.lengths());
            assert_eq!(format!("{one:?}"), format!("Keys {{ suite: {suite:?}, .. }}"));
        }
    }
}
