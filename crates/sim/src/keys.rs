//! The keys of a phone, as telephone events.
//!
//! Source: RFC 4733 sections 2.3 and 2.5.

use std::collections::VecDeque;
use std::time::Duration;

const KEYS: &str = "0123456789*#ABCD";
/// Packets of a key that is down, of its end, and of the sound after it.
const DOWN: u32 = 5;
const ENDS: u32 = 3;
const GAP: u32 = 5;

/// Returns how long `w` and `W` among keys wait; nothing for a key. Source: Twilio, `SendDigits`.
pub fn pause(key: char) -> Option<Duration> {
    match key {
        'w' => Some(Duration::from_millis(500)),
        'W' => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// Keys that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    waiting: VecDeque<u8>,
    ticks: u32,
}

impl Keys {
    pub(crate) fn push(&mut self, keys: &str) {
        let event = |key| KEYS.find(key).and_then(|at| u8::try_from(at).ok());
        self.waiting.extend(keys.chars().filter_map(event));
    }

    /// Returns what is sent in place of sound in this tick, and since how many ticks the key is down.
    pub(crate) fn tick(&mut self) -> Option<([u8; 4], u32)> {
        let event = *self.waiting.front()?;
        let age = self.ticks;
        self.ticks += 1;
        if self.ticks >= DOWN + ENDS + GAP {
            self.waiting.pop_front();
            self.ticks = 0;
        }
        if age >= DOWN + ENDS {
            return None;
        }
        let [_, _, high, low] = (age.min(DOWN - 1) * 160 + 160).to_be_bytes();
        let end = if age >= DOWN { 0x80 } else { 0 };
        Some(([event, end | 10, high, low], age))
    }
}
