//! The session keys of SRTP or SRTCP, and what is done with them.
//!
//! Source: RFC 3711 sections 3.4, 4.1, 4.2 and 4.3; RFC 7714 sections 8, 9 and 11.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key};

use super::key::{MasterKey, SALT_MAX, Suite};

/// Octets of an RTCP packet that stay readable.
const RTCP_HEAD: usize = 8;
/// Octets of a key for HMAC-SHA1.
const HMAC_KEY: usize = 20;
/// Octets of an AES-GCM tag.
const GCM_TAG: usize = 16;
/// Octets of an AES-GCM nonce.
const NONCE: usize = 12;
/// Octets of the word that ends an SRTCP packet, before its tag or after it.
const WORD: usize = 4;
/// The lengths of a tag of HMAC-SHA1.
const TAG_80: usize = 10;
const TAG_32: usize = 4;

/// A packet's source and index.
type Which = (u32, u64);

/// Everything but the packet.
pub enum Session {
    /// AES in counter mode, and HMAC-SHA1 over what it made.
    Counter { key: Box<EncryptingKey>, salt: [u8; SALT_MAX], hmac: Box<Key>, tag: usize },
    /// AES in Galois counter mode.
    Gcm { key: LessSafeKey, salt: [u8; NONCE] },
}

impl Session {
    /// Derives the keys of SRTP.
    pub fn rtp(master: &MasterKey) -> Self {
        let tag = if master.suite == Suite::AesCm128HmacSha1_32 { TAG_32 } else { TAG_80 };
        Self::derive(master, [0, 1, 2], tag)
    }

    /// Derives the keys of SRTCP.
    pub fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, [3, 4, 5], TAG_80)
    }

    fn derive(master: &MasterKey, labels: [u8; 3], tag: usize) -> Self {
        let [for_key, for_hmac, for_salt] = labels;
        match master.suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let key = Box::new(counter_key(&derived::<16>(master, for_key)));
                let hmac = derived::<HMAC_KEY>(master, for_hmac);
                let hmac = Box::new(Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &hmac));
                Self::Counter { key, salt: derived(master, for_salt), hmac, tag }
            }
            Suite::AeadAes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, &derived::<16>(master, for_key));
                Self::gcm(key.expect("it has 16 octets"), derived(master, for_salt))
            }
            Suite::AeadAes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, &derived::<32>(master, for_key));
                Self::gcm(key.expect("it has 32 octets"), derived(master, for_salt))
            }
        }
    }

    fn gcm(key: UnboundKey, salt: [u8; NONCE]) -> Self {
        Self::Gcm { key: LessSafeKey::new(key), salt }
    }

    /// Protects an RTP packet from the end of its header, `start`, to `length`; returns its new length.
    pub fn seal(
        &self,
        packet: &mut [u8],
        (start, length): (usize, usize),
        which: Which,
    ) -> Option<usize> {
        match self {
            Self::Counter { key, salt, hmac, tag } => {
                let end = length + tag;
                crypt(key, salt, packet.get_mut(start..length)?, which)?;
                let mac = authenticate(hmac, packet.get(..length)?, &turns(which));
                packet.get_mut(length..end)?.copy_from_slice(mac.as_ref().get(..*tag)?);
                Some(end)
            }
            Self::Gcm { key, salt } => {
                let end = length + GCM_TAG;
                let (head, rest) = packet.get_mut(..end)?.split_at_mut(start);
                let (body, tag) = rest.split_at_mut(length - start);
                seal_body(key, nonce(salt, which), (head, body), tag)?;
                Some(end)
            }
        }
    }

    /// Opens an RTP packet whose header ends at `start`; returns its length.
    pub fn open(&self, packet: &mut [u8], start: usize, which: Which) -> Option<usize> {
        match self {
            Self::Counter { key, salt, hmac, tag } => {
                let length = packet.len().checked_sub(*tag).filter(|&length| length >= start)?;
                let (message, theirs) = packet.split_at(length);
                let mac = authenticate(hmac, message, &turns(which));
                verify_slices_are_equal(mac.as_ref().get(..*tag)?, theirs).ok()?;
                crypt(key, salt, packet.get_mut(start..length)?, which)?;
                Some(length)
            }
            Self::Gcm { key, salt } => {
                let length = packet.len().checked_sub(GCM_TAG).filter(|&length| length >= start)?;
                let (head, rest) = packet.split_at_mut(start);
                let head = Aad::from(&*head);
                key.open_in_place(nonce(salt, which), head, rest).ok()?;
                Some(length)
            }
        }
    }

    /// Protects an RTCP packet of `length` octets, whose index and flag are in `word`; returns its new length.
    pub fn seal_rtcp(
        &self,
        packet: &mut [u8],
        length: usize,
        (ssrc, word): (u32, u32),
    ) -> Option<usize> {
        let which = (ssrc, index_of(word));
        match self {
            Self::Counter { key, salt, hmac, tag } => {
                let (at_tag, end) = (length + WORD, length + WORD + tag);
                crypt(key, salt, packet.get_mut(RTCP_HEAD..length)?, which)?;
                packet.get_mut(length..at_tag)?.copy_from_slice(&word.to_be_bytes());
                let mac = authenticate(hmac, packet.get(..at_tag)?, &[]);
                packet.get_mut(at_tag..end)?.copy_from_slice(mac.as_ref().get(..*tag)?);
                Some(end)
            }
            Self::Gcm { key, salt } => {
                let end = length + GCM_TAG;
                let head = rtcp_head(packet, word)?;
                let (body, tag) =
                    packet.get_mut(RTCP_HEAD..end)?.split_at_mut(length.checked_sub(RTCP_HEAD)?);
                seal_body(key, nonce(salt, which), (&head, body), tag)?;
                packet.get_mut(end..end + WORD)?.copy_from_slice(&word.to_be_bytes());
                Some(end + WORD)
            }
        }
    }

    /// Returns the word in which an RTCP packet says its index and whether it is encrypted.
    pub fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Counter { tag, .. } => *tag,
            Self::Gcm { .. } => 0,
        };
        let end = packet.len().checked_sub(behind)?;
        let at = end.checked_sub(WORD).filter(|&at| at >= RTCP_HEAD)?;
        Some(u32::from_be_bytes(*packet.get(at..end)?.first_chunk()?))
    }

    /// Opens an RTCP packet; returns its length.
    pub fn open_rtcp(&self, packet: &mut [u8], (ssrc, word): (u32, u32)) -> Option<usize> {
        let which = (ssrc, index_of(word));
        match self {
            Self::Counter { key, salt, hmac, tag } => {
                let at_tag = packet.len().checked_sub(*tag)?;
                let length = at_tag.checked_sub(WORD).filter(|&length| length >= RTCP_HEAD)?;
                let (message, theirs) = packet.split_at(at_tag);
                let mac = authenticate(hmac, message, &[]);
                verify_slices_are_equal(mac.as_ref().get(..*tag)?, theirs).ok()?;
                crypt(key, salt, packet.get_mut(RTCP_HEAD..length)?, which)?;
                Some(length)
            }
            Self::Gcm { key, salt } => {
                let sealed = packet.len().checked_sub(WORD)?;
                let length = sealed.checked_sub(GCM_TAG).filter(|&length| length >= RTCP_HEAD)?;
                let head = rtcp_head(packet, word)?;
                let body = packet.get_mut(RTCP_HEAD..sealed)?;
                key.open_in_place(nonce(salt, which), Aad::from(&head), body).ok()?;
                Some(length)
            }
        }
    }
}

fn index_of(word: u32) -> u64 {
    u64::from(word & !super::ENCRYPTED)
}

/// Returns how often sequence numbers have begun again, which is authenticated but not sent.
fn turns((_, index): Which) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn authenticate(key: &Key, message: &[u8], more: &[u8]) -> aws_lc_rs::hmac::Tag {
    let mut context = Context::with_key(key);
    context.update(message);
    context.update(more);
    context.sign()
}

/// Encrypts or decrypts, which are the same.
fn crypt(key: &EncryptingKey, salt: &[u8; SALT_MAX], body: &mut [u8], which: Which) -> Option<()> {
    let mut iv = [0; 16];
    iv[..SALT_MAX].copy_from_slice(salt);
    mix(&mut iv[4..SALT_MAX], which);
    key.less_safe_encrypt(body, EncryptionContext::Iv128((&iv).into())).ok().map(drop)
}

fn nonce(salt: &[u8; NONCE], which: Which) -> Nonce {
    let mut nonce = *salt;
    mix(&mut nonce[2..], which);
    Nonce::assume_unique_for_key(nonce)
}

/// Adds source and index, ten octets, without carry.
fn mix(to: &mut [u8], (ssrc, index): Which) {
    let octets = ssrc.to_be_bytes().into_iter().chain(index.to_be_bytes().into_iter().skip(2));
    for (to, octet) in to.iter_mut().zip(octets) {
        *to ^= octet;
    }
}

fn seal_body(
    key: &LessSafeKey,
    nonce: Nonce,
    (head, body): (&[u8], &mut [u8]),
    place: &mut [u8],
) -> Option<()> {
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(head), body).ok()?;
    place.copy_from_slice(tag.as_ref());
    Some(())
}

/// Returns what is authenticated of an RTCP packet beside what is encrypted: RFC 7714 section 9.2.
fn rtcp_head(packet: &[u8], word: u32) -> Option<[u8; RTCP_HEAD + WORD]> {
    let mut head = [0; RTCP_HEAD + WORD];
    head[..RTCP_HEAD].copy_from_slice(packet.get(..RTCP_HEAD)?);
    head[RTCP_HEAD..].copy_from_slice(&word.to_be_bytes());
    Some(head)
}

fn counter_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).expect("it has 16 or 32 octets");
    EncryptingKey::ctr(key).expect("AES has a counter mode")
}

/// Derives a session key: the key stream of the master key from a point that the label names.
/// Source: RFC 3711 section 4.3; RFC 7714 section 11 for AES-GCM.
fn derived<const LENGTH: usize>(master: &MasterKey, label: u8) -> [u8; LENGTH] {
    let key = counter_key(&master.key[..master.suite.key_length()]);
    let mut iv = [0; 16];
    iv[..SALT_MAX].copy_from_slice(&master.salt);
    iv[7] ^= label;
    let mut stream = [0; LENGTH];
    key.less_safe_encrypt(&mut stream, EncryptionContext::Iv128((&iv).into()))
        .expect("a counter mode encrypts any length");
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::octets;

    /// Source: RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_derived_as_the_rfc_has_it() {
        let key = octets("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = octets("0EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &key, &salt).unwrap();
        assert_eq!(derived::<16>(&master, 0)[..], octets("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived::<14>(&master, 2)[..], octets("30CBBC08863D8C85D49DB34A9AE1"));
        let hmac = octets(
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098\
             6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        );
        assert_eq!(derived::<94>(&master, 1)[..], hmac);
    }

    /// Source: RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_is_the_rfcs() {
        let key = counter_key(&octets("2B7E151628AED2A6ABF7158809CF4F3C"));
        let salt = octets("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
        let mut stream = [0; 48];
        crypt(&key, salt.as_slice().try_into().unwrap(), &mut stream, (0, 0)).unwrap();
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
                        41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream[..], octets(expected));
    }

    fn gcm(key_octets: u8) -> Session {
        let key: Vec<u8> = (0..key_octets).collect();
        let algorithm = if key_octets == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let salt = octets("517569642070726f2071756f");
        Session::gcm(UnboundKey::new(algorithm, &key).unwrap(), salt.try_into().unwrap())
    }

    /// Source: RFC 7714 sections 16.1 and 16.2.
    #[test]
    fn rtp_is_sealed_by_gcm_as_the_rfc_has_it() {
        let head = octets("8040f17b8041f8d35501a0b2");
        let plain = [&head[..], b"Gallia est omnis divisa in partes tres"].concat();
        for (key, sealed) in [
            (
                16,
                "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
                 899d7f27beb16a9152cf765ee4390cce",
            ),
            (
                32,
                "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
                 7aa3db36dfffd6b0f9bb7878d7a76c13",
            ),
        ] {
            let session = gcm(key);
            let mut packet = [&plain[..], &[0; GCM_TAG]].concat();
            let which = (0x5501_a0b2, 0xf17b);
            assert_eq!(session.seal(&mut packet, (12, plain.len()), which), Some(packet.len()));
            assert_eq!(packet, [&head[..], &octets(sealed)].concat());
            assert_eq!(session.open(&mut packet, 12, which), Some(plain.len()));
            assert_eq!(packet[..plain.len()], plain);
        }
    }

    /// Source: RFC 7714 section 17.1.
    #[test]
    fn rtcp_is_sealed_by_gcm_as_the_rfc_has_it() {
        let plain = octets(
            "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
             deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        );
        let sealed = octets(
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32d\
             c676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872\
             45d9eade800005d4",
        );
        let session = gcm(16);
        let mut packet = [&plain[..], &[0; GCM_TAG + WORD]].concat();
        let which = (0x4d61_7273, 0x8000_05d4);
        assert_eq!(session.seal_rtcp(&mut packet, plain.len(), which), Some(sealed.len()));
        assert_eq!(packet, sealed);
        assert_eq!(session.rtcp_word(&packet), Some(0x8000_05d4));
        assert_eq!(session.open_rtcp(&mut packet, which), Some(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }
}
