//! What nodes in virtual time are played with: the agenda of what happens when, phones, ports, and
//! chance. No thread, socket or clock is known here.

pub(crate) mod agenda;
pub(crate) mod chance;
pub(crate) mod phone;
pub(crate) mod ports;
