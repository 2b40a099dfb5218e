//! Sound from memory.

use std::sync::Arc;

use crate::SAMPLES;
use crate::fade::Fade;
use crate::ids::PlayerId;

/// Sound in memory: 8 kHz mono.
pub type Pcm = Arc<[i16]>;

/// The last samples of a sound, which fade: 8 ms. Whatever it ends with, it ends without a step.
const END: usize = SAMPLES * 2 / 5;

/// One sound that plays.
#[derive(Debug)]
pub struct Player {
    pub id: PlayerId,
    pcm: Pcm,
    at: usize,
    /// How often it plays after this time; none: without end.
    left: Option<u32>,
    fade: Fade,
    stopping: bool,
    ended: bool,
}

/// Whether a player is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Plays,
    Ended,
    Stopped,
}

impl Player {
    pub fn new(id: PlayerId, pcm: Pcm, loops: Option<u32>, paused: bool) -> Self {
        let mut fade = Fade::at(0.0);
        fade.to(if paused { 0.0 } else { 1.0 });
        let left = loops.map(|loops| loops.saturating_sub(1));
        Self { id, pcm, at: 0, left, fade, stopping: false, ended: false }
    }

    pub fn pause(&mut self, paused: bool) {
        if !self.stopping {
            self.fade.to(if paused { 0.0 } else { 1.0 });
        }
    }

    pub fn stop(&mut self) {
        self.fade.to(0.0);
        self.stopping = true;
    }

    pub fn pcm(&self) -> &Pcm {
        &self.pcm
    }

    /// Whether nothing of it is heard in this tick.
    pub fn is_silent(&self) -> bool {
        self.fade.is_silent()
    }

    /// Returns where in the sound this tick begins, if it is heard as it is from there on, over its end and
    /// anew from its beginning where it is played again.
    pub fn plain(&self) -> Option<usize> {
        let length = self.pcm.len();
        let goes_on = self.left.is_none_or(|left| {
            let rest = length - self.at + length.saturating_mul(left as usize);
            rest >= SAMPLES + END
        });
        let is_plain = self.fade.is_unity() && length >= SAMPLES && goes_on;
        is_plain.then(|| self.at % length)
    }

    /// Goes on by a tick of [`Self::plain`] sound that is heard from elsewhere.
    pub fn skip(&mut self) {
        self.at += SAMPLES;
        if self.at > self.pcm.len() {
            let at = self.at - self.pcm.len();
            self.rewind();
            self.at = at;
        }
    }

    /// Adds this tick's samples to `sum`.
    pub fn advance(&mut self, sum: &mut [i32]) {
        if self.fade.is_silent() {
            return;
        }
        let mut frame = [0_i32; SAMPLES];
        for sample in &mut frame {
            if self.at >= self.pcm.len() && !self.rewind() {
                self.ended = true;
                break;
            }
            *sample = i32::from(self.pcm[self.at]);
            self.at += 1;
            let left = self.pcm.len() - self.at;
            if left < END && self.left == Some(0) {
                *sample = *sample * left as i32 / END as i32;
            }
        }
        self.fade.add(sum, &frame);
    }

    /// Returns whether the player is still needed.
    pub fn progress(&self) -> Progress {
        match () {
            () if self.stopping && self.fade.is_silent() => Progress::Stopped,
            () if self.ended && !self.stopping => Progress::Ended,
            () if self.ended => Progress::Stopped,
            () => Progress::Plays,
        }
    }

    fn rewind(&mut self) -> bool {
        match &mut self.left {
            _ if self.pcm.is_empty() => return false,
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.at = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is heard of a sound that is loud to its last sample, in so many ticks.
    fn heard(length: usize, loops: Option<u32>, ticks: usize) -> Vec<i32> {
        let pcm = vec![10_000; length].into();
        let mut player = Player::new(PlayerId(1), pcm, loops, false);
        let mut heard = vec![0; ticks * SAMPLES];
        heard.chunks_mut(SAMPLES).for_each(|tick| player.advance(tick));
        heard
    }

    #[test]
    fn a_sound_that_is_loud_to_its_end_ends_without_a_step() {
        for length in [40, 64, 160, 200, 399, 480, 481] {
            let heard = heard(length, Some(1), 6);
            let step = heard.windows(2).map(|two| (two[1] - two[0]).abs()).max().unwrap();
            assert!(step <= 10_000 / END as i32 + 1, "{length} samples: a step of {step}");
            assert!(heard[length..].iter().all(|&sample| sample == 0), "{length} samples");
        }
    }

    #[test]
    fn only_the_last_time_fades() {
        let heard = heard(160, Some(3), 4);
        assert!(heard[64..480 - END].iter().all(|&sample| sample == 10_000));
        assert_eq!((heard[479], &heard[480..]), (0, &[0; SAMPLES][..]));
        assert!(self::heard(160, None, 50)[64..].iter().all(|&sample| sample == 10_000));
    }
}
