//! Under which keys, and by which suite.
//!
//! Source: RFC 4568 section 6, RFC 7714 section 11.

use std::fmt;

/// Octets of the longest master key.
pub const KEY_MAX: usize = 32;
/// Octets of the longest master salt.
pub const SALT_MAX: usize = 14;

/// How packets are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: tags of SRTP have four octets; those of SRTCP have ten all the same.
    AesCm128HmacSha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

impl Suite {
    /// Returns the octets of its master key.
    pub fn key_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Returns the octets of its master salt.
    pub fn salt_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }
}

/// A master key and its salt, for one direction. It shows neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    pub(super) suite: Suite,
    pub(super) key: [u8; KEY_MAX],
    pub(super) salt: [u8; SALT_MAX],
}

impl MasterKey {
    /// Takes a key and a salt; nothing where one has not the suite's length.
    pub fn new(suite: Suite, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != suite.key_length() || salt.len() != suite.salt_length() {
            return None;
        }
        let mut master = Self { suite, key: [0; KEY_MAX], salt: [0; SALT_MAX] };
        master.key[..key.len()].copy_from_slice(key);
        // A shorter salt is filled up with zeros behind: RFC 7714 section 11.
        master.salt[..salt.len()].copy_from_slice(salt);
        Some(master)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// What protects a leg: a key for each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Under which we send.
    pub ours: MasterKey,
    /// Under which the far end sends.
    pub theirs: MasterKey,
}
