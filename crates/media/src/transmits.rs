//! Datagrams that wait to be polled.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::command::{Channel, Transmit};
use crate::ids::LegId;
use crate::rtp::PACED_MAX;

/// Datagrams that wait to be polled.
#[derive(Debug, Default)]
pub struct Transmits {
    /// Those that leave at once, and their octets one after the other: a thousand packets are
    /// not spread over more memory than they fill.
    ready: VecDeque<(Instant, Envelope, usize)>,
    octets: Vec<u8>,
    taken: usize,
    /// Those that leave between two ticks, in order.
    later: BTreeMap<(Instant, u64), Late>,
    count: u64,
    /// The last of those that was polled.
    polled: Option<Late>,
}

/// A datagram but for its octets.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    pub leg: LegId,
    pub channel: Channel,
    pub to: SocketAddr,
    pub settled: bool,
}

impl Envelope {
    fn with(self, octets: &[u8]) -> Transmit<'_> {
        let Self { leg, channel, to, settled } = self;
        Transmit { leg, channel, to, settled, octets }
    }
}

/// A datagram that leaves between two ticks.
#[derive(Debug)]
pub struct Late {
    envelope: Envelope,
    octets: [u8; PACED_MAX],
    length: usize,
}

impl Transmits {
    /// Keeps a datagram that leaves so late after `now`; of one that leaves later, no more than
    /// [`PACED_MAX`] octets.
    pub fn push(&mut self, now: Instant, late: Duration, envelope: Envelope, octets: &[u8]) {
        if late.is_zero() {
            if self.ready.is_empty() {
                self.octets.clear();
                self.taken = 0;
            }
            self.ready.push_back((now, envelope, octets.len()));
            self.octets.extend_from_slice(octets);
        } else {
            self.count += 1;
            let length = octets.len().min(PACED_MAX);
            let mut held = Late { envelope, octets: [0; PACED_MAX], length };
            held.octets[..length].copy_from_slice(&octets[..length]);
            self.later.insert((now + late, self.count), held);
        }
    }

    /// Returns the next one whose time has come.
    pub fn poll(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let ready = self.ready.front().map(|(at, ..)| *at);
        let later = self.later.first_key_value().map(|((due, _), _)| *due);
        // A leg's packets stay in order, however late they are polled.
        if later.is_some_and(|due| due <= now && ready.is_none_or(|at| due < at)) {
            self.polled = self.later.pop_first().map(|(_, late)| late);
            return self
                .polled
                .as_ref()
                .map(|late| late.envelope.with(&late.octets[..late.length]));
        }
        let (_, envelope, length) = self.ready.pop_front_if(|(at, ..)| *at <= now)?;
        let start = self.taken;
        self.taken += length;
        Some(envelope.with(&self.octets[start..self.taken]))
    }

    /// Takes out what a leg is still to be sent between two ticks, with its times.
    pub fn take_out(&mut self, leg: LegId) -> Vec<(Instant, Late)> {
        let of_it = self.later.extract_if(.., |_, late| late.envelope.leg == leg);
        of_it.map(|((due, _), late)| (due, late)).collect()
    }

    /// Takes in what was taken out elsewhere.
    pub fn take_in(&mut self, waiting: Vec<(Instant, Late)>) {
        for (due, late) in waiting {
            self.count += 1;
            self.later.insert((due, self.count), late);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let ready = self.ready.front().map(|(at, ..)| *at);
        let later = self.later.first_key_value().map(|((due, _), _)| *due);
        ready.into_iter().chain(later).min()
    }
}
