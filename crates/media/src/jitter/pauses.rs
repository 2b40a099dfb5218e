//! Time in which the far end sends nothing, and loses nothing.

use super::Jitter;

impl Jitter {
    /// The far end stops sending because nobody speaks.
    pub fn silence(&mut self) {
        self.silent = true;
    }

    /// The far end stops sending by agreement: what came is played, and fades out.
    pub fn end(&mut self) {
        self.silence();
        if let Some(backlog) = &mut self.backlog {
            backlog.end();
        }
    }

    /// Goes on by so much time in which nothing came, and nothing was left to be heard; returns how many samples are
    /// missing for it.
    pub fn pass(&mut self, samples: usize) -> usize {
        if self.began.is_none() {
            return 0;
        }
        self.play += samples as i64;
        if self.is_silent() { 0 } else { samples }
    }

    /// The packet with this timestamp, which is still to be taken, was sent right after the last one: if there is time
    /// between them, nothing was lost, but the far end paused without a word. Returns whether it did.
    pub fn resume(&mut self, timestamp: u32) -> bool {
        let step = timestamp.wrapping_sub(self.last_timestamp) as i32;
        let position = (self.unwrapped + i64::from(step)) * self.per_step;
        let paused = self.began.is_some() && position > self.newest;
        if paused {
            self.paused = position;
            if self.missed {
                self.missing = false;
                self.transits.take_back();
            }
        }
        paused
    }

    /// Whether what is missing now is silence.
    pub(super) fn is_silent(&self) -> bool {
        self.silent || self.play < self.paused
    }
}
