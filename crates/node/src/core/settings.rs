//! What a core is told about the node that it runs.

use std::net::SocketAddr;

use model::Account;

/// What the core is told about the node that it runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose node it is.
    pub account: Account,
    /// Where phones reach it; its address is the media's too.
    pub sip: SocketAddr,
    /// Whether callers on loopback must prove who they are, as all others must.
    pub sip_auth: bool,
    /// Whether phones are offered MD5 alone.
    pub sip_md5_alone: bool,
    /// Asked what to do with a call that comes in to what has no address of its own.
    pub voice_url: Option<String>,
    /// Whether, without such an address, a call joins the conference of the name that it is for.
    pub names_are_rooms: bool,
    /// What may be dialled beyond the public internet.
    pub guard: webhook::Guard,
    /// Where the API is reached, without a slash at its end.
    pub api_url: String,
    /// Whether conferences are recorded in two channels.
    pub dual_conference_recordings: bool,
    /// Whether somebody recognises speech.
    pub recognises: bool,
    /// Where numbers ring that nobody serves; none: they are refused.
    pub virtual_phones: Option<SocketAddr>,
    /// Where phones that speak TLS reach it; none: they do not.
    pub sip_tls: Option<SocketAddr>,
    /// What is spoken with phones, and whether sound is encrypted.
    pub terms: sip::Terms,
}
