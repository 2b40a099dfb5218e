//! Keys as telephone events, both ways.
//!
//! Source: RFC 4733 sections 2.3 and 2.5.

use std::collections::VecDeque;

const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// Most keys and pauses that wait to be sent.
const WAITING_MAX: usize = 256;
/// Ticks for which a key is sent: 100 ms; and the pause after it: 80 ms.
const KEY_TICKS: u16 = 5;
const GAP_TICKS: u16 = 4;
/// How often the last packet of a key is sent.
const ENDS: u16 = 3;
const VOLUME: u8 = 10;

/// Tells keys from the packets that repeat them.
#[derive(Debug, Default)]
pub struct Receiver {
    last: Option<u32>,
}

impl Receiver {
    /// Takes one event packet; returns the key when it is the key's first.
    pub fn receive(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let [event, _, _, _, ..] = *payload else { return None };
        let key = *KEYS.get(usize::from(event))?;
        if self.last == Some(timestamp) {
            return None;
        }
        self.last = Some(timestamp);
        Some(char::from(key))
    }
}

/// What a leg sends in this tick in place of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    event: u8,
    flags: u8,
    /// Ticks for which the key was down, this one included.
    down: u16,
    /// Ticks since the key went down: the packet carries the timestamp of that moment.
    pub ticks: u16,
    /// The key's first packet.
    pub first: bool,
}

impl Sending {
    /// Returns the payload of the event packet for a stream whose clock has so many steps a second.
    pub fn payload(&self, clock: u32) -> [u8; 4] {
        let duration = u32::from(self.down) * (clock / 50);
        let [high, low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
        [self.event, self.flags, high, low]
    }
}

/// Keys on their way out.
#[derive(Debug, Default)]
pub struct Sender {
    waiting: VecDeque<char>,
    /// Ticks into the current key or pause.
    ticks: u16,
}

/// What [`Sender::tick`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is to be sent; sound goes on.
    Idle,
    /// A pause.
    Pause,
    /// A packet.
    Send(Sending),
    /// The last key's pause is over.
    Done,
}

impl Sender {
    pub fn push(&mut self, keys: &str) {
        let room = WAITING_MAX.saturating_sub(self.waiting.len());
        self.waiting.extend(keys.chars().take(room));
    }

    pub fn tick(&mut self) -> Step {
        let Some(&key) = self.waiting.front() else { return Step::Idle };
        let event = KEYS.iter().position(|&k| char::from(k) == key.to_ascii_uppercase());
        let ticks = self.ticks;
        self.ticks += 1;
        let (length, sending) = match (event, key) {
            (Some(_), _) => (KEY_TICKS + ENDS + GAP_TICKS, ticks < KEY_TICKS + ENDS),
            (None, 'w') => (25, false),
            (None, 'W') => (50, false),
            (None, _) => (1, false),
        };
        if self.ticks >= length {
            self.waiting.pop_front();
            self.ticks = 0;
            if self.waiting.is_empty() {
                return Step::Done;
            }
        }
        let (true, Some(event)) = (sending, event) else { return Step::Pause };
        let ended = ticks >= KEY_TICKS;
        let down = ticks.min(KEY_TICKS) + u16::from(!ended);
        let flags = u8::from(ended) << 7 | VOLUME;
        Step::Send(Sending { event: event as u8, flags, down, ticks, first: ticks == 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received_once_each() {
        let mut sender = Sender::default();
        let mut receiver = Receiver::default();
        sender.push("1w1#");
        let mut heard = String::new();
        for tick in 0_u32.. {
            match sender.tick() {
                Step::Send(sending) => {
                    let down = tick - u32::from(sending.ticks);
                    heard.extend(receiver.receive(down * 160, &sending.payload(8_000)));
                }
                Step::Pause => {}
                Step::Done | Step::Idle => break,
            }
        }
        assert_eq!(heard, "11#");
    }
}
