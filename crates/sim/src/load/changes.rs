//! When it is heard that a talker was muted, or no longer is.

use std::time::{Duration, Instant};

use super::figures::Times;
use super::report::Report;

/// By so much a tone is louder or softer in the first packet of a change: a ramp of up to 10 ms is in it, in Opus behind
/// 6 ms of what was before.
const CHANGED: f32 = 0.4;
/// What is softer than this is gone, and what is louder than that is there, as the next packet says: while a jitter
/// buffer moves, a tone is off its pitch, and seems softer for a moment.
const GONE: f32 = 0.25;
const THERE: f32 = 0.35;
/// A change that is not heard within this time never is.
const WITHIN: Duration = Duration::from_secs(1);

/// When packets came, and how loud a tone was in each of them: 1 is the whole of it.
pub type Loudness = Vec<(Instant, f32)>;

/// A change of which a server said that it was made.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The leg that talks.
    pub leg: usize,
    /// Whether it is muted from now on.
    pub muted: bool,
    /// When that was asked for.
    pub sent: Instant,
}

/// How changes were heard.
#[derive(Debug, Default)]
pub struct Changes {
    /// From the request to the first packet of a listener in which there was more or less of the talker.
    pub heard: Times,
    /// Changes that were not heard.
    pub unheard: u64,
}

impl Report {
    /// Says how changes were heard, each leg's in the order in which they were asked for. Of one whose packets were not
    /// kept nothing is said.
    pub fn heard(&self, changes: &[Change]) -> Changes {
        let mut told = Changes::default();
        for (place, change) in changes.iter().enumerate() {
            let next = changes[place + 1..].iter().find(|next| next.leg == change.leg);
            let until =
                next.map_or(change.sent + WITHIN, |next| next.sent.min(change.sent + WITHIN));
            match self.loudness.get(&change.leg).and_then(|heard| first(change, until, heard)) {
                Some(Some(at)) => told.heard.note(at - change.sent),
                Some(None) => told.unheard += 1,
                None => {}
            }
        }
        told
    }
}

/// Returns when the first packet of a change came, if one did; nothing where it is not known what was heard.
fn first(change: &Change, until: Instant, heard: &Loudness) -> Option<Option<Instant>> {
    let begin = heard.partition_point(|(at, _)| *at <= change.sent);
    let (_, before) = *heard[..begin].last()?;
    let is_over = |loud: f32| if change.muted { loud < GONE } else { loud >= THERE };
    let is_begun = |loud: f32| if change.muted { loud < 1.0 - CHANGED } else { loud > CHANGED };
    let during = heard[begin..].windows(2).take_while(|pair| pair[0].0 < until);
    let mut changed = during.filter(|pair| is_begun(pair[0].1) && is_over(pair[1].1));
    match changed.next() {
        // The change before was not heard, so neither is this one.
        _ if is_over(before) => Some(None),
        Some(pair) => Some(Some(pair[0].0)),
        None => heard.last().is_some_and(|(at, _)| *at >= until).then_some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LEG: usize = 8;

    /// Packets of 20 ms, so loud.
    fn told(start: Instant, heard: &[f32], changes: &[(u32, bool)]) -> Changes {
        let at = (0..).map(|number| start + MS * 20 * number);
        let loudness = at.zip(heard.iter().copied()).collect();
        let report = Report { loudness: [(LEG, loudness)].into(), ..Report::default() };
        let change = |&(ms, muted)| Change { leg: LEG, muted, sent: start + MS * ms };
        report.heard(&changes.iter().map(change).collect::<Vec<_>>())
    }

    #[test]
    fn a_change_is_heard_in_the_first_packet_that_is_softer_or_louder() {
        let start = Instant::now();
        let mut heard = vec![1.0; 100];
        // Off its pitch for a moment, then ramped down and up; then in Opus.
        heard[12] = 0.5;
        heard[20] = 0.2;
        heard[21..30].fill(0.0);
        heard[30] = 0.8;
        heard[50] = 0.45;
        heard[51..70].fill(0.02);
        heard[70] = 0.5;
        let asked = [(230, true), (598, false), (970, true), (1_375, false)];
        let changes = told(start, &heard, &asked);
        assert_eq!((changes.heard.count(), changes.unheard), (4, 0));
        assert_eq!(changes.heard.longest(), MS * 170);
        assert_eq!(changes.heard.percentile(25.0), Duration::from_micros(2_100));
        assert_eq!(changes.heard.percentile(50.0), Duration::from_micros(25_100));
    }

    #[test]
    fn what_is_not_heard_is_counted_where_it_would_have_been() {
        let start = Instant::now();
        let heard = [1.0; 100];
        // Of the last it is not known, of the second not whether the first will still come.
        let changes = told(start, &heard, &[(100, true), (300, false), (1_500, true)]);
        assert_eq!((changes.heard.count(), changes.unheard), (0, 2));
        let changes = told(start, &[], &[(100, true)]);
        assert_eq!((changes.heard.count(), changes.unheard), (0, 0));
        let other = Change { leg: LEG + 4, muted: true, sent: start };
        assert_eq!(Report::default().heard(&[other]).unheard, 0);
    }
}
