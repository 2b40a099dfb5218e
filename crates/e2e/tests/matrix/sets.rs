//! Every set of the twelve, and what is to be seen of each.

use crate::model::{Model, Update};
use crate::room::{HOLD, WAIT, WAIT_CHANGED};

/// The twelve, in the order of the bits of a [`Set`].
pub const PARAMETERS: [&str; 12] = [
    "Muted",
    "Hold",
    "HoldUrl",
    "HoldMethod",
    "AnnounceUrl",
    "AnnounceMethod",
    "WaitUrl",
    "WaitMethod",
    "BeepOnExit",
    "EndConferenceOnExit",
    "Coaching",
    "CallSidToCoach",
];

/// Some of the twelve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(u16);

impl Set {
    /// Each alone, each pair, and all together: 79 sets.
    pub fn all() -> Vec<Self> {
        let singles = (0..12).map(|one| Self(1 << one));
        let pairs = (0..12).flat_map(|one| (0..one).map(move |other| Self(1 << one | 1 << other)));
        singles.chain(pairs).chain([Self(0xFFF)]).collect()
    }

    pub fn has(self, parameter: &str) -> bool {
        let bit = PARAMETERS.iter().position(|name| *name == parameter).unwrap();
        self.0 & 1 << bit != 0
    }

    pub fn name(self) -> String {
        let named: Vec<&str> = PARAMETERS.into_iter().filter(|name| self.has(name)).collect();
        if named.len() == 12 { "all twelve".to_owned() } else { named.join("+") }
    }
}

/// One room to play: how many phones, whether it has started, how the target is addressed.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub set: Set,
    pub size: usize,
    pub started: bool,
    pub by_label: bool,
}

/// What is to be seen of a case. The target is participant 0, whom it coaches participant 1.
#[derive(Debug)]
pub struct Expected {
    pub case: Case,
    model: Model,
    refused: bool,
}

impl Expected {
    pub fn new(case: Case) -> Self {
        let mut model = Model::new(case.size, case.started);
        let flag = |name| case.set.has(name).then_some(true);
        let update = Update {
            muted: flag("Muted"),
            hold: flag("Hold"),
            coaching: flag("Coaching"),
            to_coach: case.set.has("CallSidToCoach").then_some(1),
        };
        let refused = model.update(0, update).is_err();
        Self { case, model, refused }
    }

    pub fn is_refused(&self) -> bool {
        self.refused
    }

    pub fn is_held(&self, who: usize) -> bool {
        self.model.members[who].held
    }

    pub fn coaches(&self) -> bool {
        self.model.members[0].coaches.is_some()
    }

    pub fn hears(&self, listener: usize, speaker: usize) -> bool {
        self.model.hears(listener, speaker)
    }

    /// Whether a parameter is there and was taken.
    fn took(&self, parameter: &str) -> bool {
        self.case.set.has(parameter) && !self.refused
    }

    pub fn announcement(&self, listener: usize) -> bool {
        listener == 0 && self.took("AnnounceUrl")
    }

    /// The tone of the document that plays to someone once no announcement does.
    pub fn music(&self, listener: usize) -> Option<u32> {
        let changed = listener == 0 && self.took("WaitUrl");
        if self.is_held(listener) {
            self.case.set.has("HoldUrl").then_some(HOLD)
        } else if self.case.started {
            None
        } else {
            Some(if changed { WAIT_CHANGED } else { WAIT })
        }
    }

    /// The methods by which the target's documents are asked for: path and method.
    pub fn asked(&self) -> Vec<(&'static str, &'static str)> {
        let set = self.case.set;
        let by = |named: bool, method, default| if named { method } else { default };
        let mut asked = Vec::new();
        if self.took("Hold") && set.has("HoldUrl") {
            asked.push(("hold", by(set.has("HoldMethod"), "PUT", "GET")));
        }
        if self.took("AnnounceUrl") {
            asked.push(("announce", by(set.has("AnnounceMethod"), "PATCH", "POST")));
        }
        if self.took("WaitUrl") && !self.case.started && !set.has("Hold") {
            asked.push(("changed", by(set.has("WaitMethod"), "DELETE", "POST")));
        }
        asked
    }

    /// The callbacks of the update itself, in order.
    pub fn events(&self) -> Vec<&'static str> {
        let modified = ["WaitUrl", "BeepOnExit", "EndConferenceOnExit", "CallSidToCoach"];
        let modified = modified.into_iter().any(|name| self.took(name));
        [
            (self.took("Muted"), "participant-mute"),
            (self.took("Hold"), "participant-hold"),
            (modified, "participant-modify"),
        ]
        .into_iter()
        .filter_map(|(happened, event)| happened.then_some(event))
        .collect()
    }

    pub fn ends_on_exit(&self) -> bool {
        self.took("EndConferenceOnExit")
    }

    pub fn beeps_on_exit(&self) -> bool {
        self.took("BeepOnExit") && !self.ends_on_exit() && self.case.started
    }
}
