//! SIP and SDP: messages, transactions, dialogs, offer and answer.
//!
//! Sans-IO: datagrams and the time come in, datagrams and events go out; no socket, task or clock
//! is owned here. It knows nothing of Twilio, of conferences or of RTP.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod dialog;
mod digest;
mod gate;
mod message;
mod registrar;
mod sdp;
mod stream;
mod uac;
mod uas;

#[cfg(test)]
mod tests;

pub use agent::{
    Access, Agent, CALLS_MAX, CallId, Config, Ended, Event, Invitation, Peer, Transmit, Transport,
};
pub use dialog::Dialog;
pub use digest::Credentials;
pub use message::{HEADERS_MAX, MESSAGE_MAX, Message, ParseError, Start, uri_of};
pub use sdp::{Codec, Media, Session, answer, offer};
pub use stream::{Framed, Framer};
