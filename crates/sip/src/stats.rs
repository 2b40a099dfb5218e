//! What the agent counts.

use std::collections::BTreeMap;

/// The methods that are counted under their names; all others are one.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "PUBLISH",
];

/// Counts since the agent was made, and what is open now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that came, by method; unknown methods are `other`.
    pub requests_rx: BTreeMap<&'static str, u64>,
    /// Requests that were sent, by method, without retransmissions.
    pub requests_tx: BTreeMap<&'static str, u64>,
    /// Responses that came, by status.
    pub responses_rx: BTreeMap<u16, u64>,
    /// Responses that were sent, by status, without retransmissions.
    pub responses_tx: BTreeMap<u16, u64>,
    /// Requests and responses that were sent once more.
    pub retransmissions: u64,
    /// Messages that break the grammar.
    pub unparsable: u64,
    /// Responses that belong to no transaction, and ACKs that belong to no call.
    pub stray: u64,
    /// Messages and events that were not kept because a queue was full.
    pub dropped: u64,
    /// Requests that were refused because something was full.
    pub overloaded: u64,
    /// Requests whose proof of identity was wrong.
    pub unproven: u64,
    /// Transactions that are open.
    pub transactions: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Contacts of registered users.
    pub bindings: usize,
}

impl Stats {
    pub(crate) fn request_rx(&mut self, method: &str) {
        *self.requests_rx.entry(name_of(method)).or_default() += 1;
    }

    pub(crate) fn request_tx(&mut self, method: &str) {
        *self.requests_tx.entry(name_of(method)).or_default() += 1;
    }

    pub(crate) fn response_rx(&mut self, status: u16) {
        *self.responses_rx.entry(status).or_default() += 1;
    }

    pub(crate) fn response_tx(&mut self, status: u16) {
        *self.responses_tx.entry(status).or_default() += 1;
    }
}

fn name_of(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}
