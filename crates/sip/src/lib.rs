//! SIP and SDP: messages, transactions, dialogs, offer and answer.
//!
//! Sans-IO: datagrams and the time come in, datagrams and events go out; no socket, task or clock
//! is owned here. It knows nothing of Twilio, of conferences or of RTP.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod call;
mod deadline;
mod dialog;
mod digest;
mod domain;
mod gate;
mod guard;
mod headers;
mod message;
mod proof;
mod question;
mod registrar;
mod reliable;
mod sdp;
mod session_timer;
mod stats;
mod stream;
mod transaction;
mod uac;
mod uas;
mod within;

#[cfg(test)]
mod tests;

pub use agent::{
    Access, Agent, CALLS_MAX, CallId, Callee, Config, EVENTS_MAX, Ended, Event, Invitation,
    Offered, Offers, Peer, TRANSACTIONS_MAX, TRANSMITS_MAX, Transmit, Transport,
};
pub use call::{host_of, user_of};
pub use dialog::Dialog;
pub use digest::{Credentials, Proof};
pub use domain::{Domain, Gateway, Network};
pub use guard::{
    BLOCK, CALLS_OF_SOURCE_MAX, FAILURES_MAX, FAILURES_WINDOW, SOURCES_MAX,
    TRANSACTIONS_OF_SOURCE_MAX,
};
pub use message::{HEADER_MAX, HEADERS_MAX, MESSAGE_MAX, Message, ParseError, Start, uri_of};
pub use question::Question;
pub use registrar::{BINDINGS_MAX, CONTACTS_MAX, EXPIRES_S_MAX, EXPIRES_S_MIN};
pub use sdp::{
    AudioLevel, Codec, Keys, Media, OpusParameters, Protection, Session, SrtpPolicy, Suite, Terms,
    Users,
};
pub use stats::Stats;
pub use stream::{Framed, Framer};
