//! The house seen from the street: what its tests share. A server that is a process of its own, an
//! origin that serves documents and takes callbacks, and ears that tell one tone from another.
//!
//! Nothing here knows how the server decides; the tests in `tests/` judge it by what comes out of
//! its sockets. `tests/tidy.rs` reads the house's own sources instead.

#![allow(clippy::unwrap_used, reason = "what is not as a test needs it ends the test")]

mod baresip;
mod command;
mod ears;
mod foreign;
mod judge;
mod openapi;
mod origin;
mod proxy;
mod recorded;
mod server;
mod wait;

pub use baresip::{Baresip, Speech};
pub use command::{Running, Typed, typed};
pub use ears::{Ear, level, spoken, tone};
pub use foreign::{brought, digest, foreign, sipp, valid_signatures, valid_signatures_by_node};
pub use openapi::{OpenApi, sid};
pub use origin::{Asked, Origin};
pub use proxy::Proxy;
pub use recorded::{channels, fetch};
pub use server::{Answer, Login, Server, binary};
pub use wait::{hears, until};
