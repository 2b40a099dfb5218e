//! The sounds that signal something, each made once for all who hear it.

use std::collections::BTreeMap;
use std::sync::Arc;

type Samples = Arc<[i16]>;

/// The signals that were heard so far. There are no more than countries that ring differently.
#[derive(Debug, Default)]
pub struct Signals {
    ringing: BTreeMap<&'static str, Samples>,
    enter: Option<Samples>,
    exit: Option<Samples>,
}

impl Signals {
    /// Returns one period of a country's ringing.
    pub fn ring_tone(&mut self, country: &str) -> Samples {
        let country = sound::rings_like(country);
        self.ringing.entry(country).or_insert_with(|| sound::ring_tone(country).into()).clone()
    }

    /// Returns the beep of someone who comes.
    pub fn enter_beep(&mut self) -> Samples {
        self.enter.get_or_insert_with(|| sound::enter_beep().into()).clone()
    }

    /// Returns the beep of someone who goes.
    pub fn exit_beep(&mut self) -> Samples {
        self.exit.get_or_insert_with(|| sound::exit_beep().into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_made_once_however_many_hear_it() {
        let mut signals = Signals::default();
        let two = |signals: &mut Signals, make: fn(&mut Signals) -> Samples| {
            let [one, other] = [make(signals), make(signals)];
            assert!(Arc::ptr_eq(&one, &other) && !one.is_empty());
            one
        };
        let enter = two(&mut signals, Signals::enter_beep);
        let exit = two(&mut signals, Signals::exit_beep);
        let german = two(&mut signals, |signals| signals.ring_tone("de"));
        assert!(enter != exit && german[..] == sound::ring_tone("de")[..]);
        // The same tones are the same signal, and so is whatever is not known.
        assert!(Arc::ptr_eq(&german, &signals.ring_tone("nl")));
        let american = signals.ring_tone("us");
        for number in 0..1_000 {
            assert!(Arc::ptr_eq(&american, &signals.ring_tone(&format!("x{number}"))));
        }
        assert_eq!(signals.ringing.len(), 2);
    }
}
