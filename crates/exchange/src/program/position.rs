//! Where a program stands, for a row, and how it is taken up from there.

use std::time::Duration;

use model::{Now, Timestamp};

use super::record::TakingPosition;
use super::{Asked, Gathering, Program, Stage, Taking};
use crate::Document;

impl Program {
    /// What a restart needs to know of it.
    pub(crate) fn position(&self, now: Now) -> Position {
        let Self {
            source,
            url,
            text,
            verbs: _,
            next,
            sound: _,
            begun,
            stage,
            redirects,
            paused,
            gathering,
            about_to_record,
        } = self;
        Position {
            source: source.clone(),
            url: url.clone(),
            text: text.clone(),
            next: *next,
            begun: *begun,
            redirects: *redirects,
            paused: *paused,
            gathering: gathering.clone(),
            about_to_record: *about_to_record,
            doing: match stage {
                Stage::Idle => Doing::Nothing,
                Stage::Fetching(_, asked) | Stage::Unanswered(asked) => {
                    Doing::Asking(asked.clone())
                }
                Stage::Playing(_) | Stage::Unheard => Doing::Playing,
                Stage::Pausing(until) => Doing::Pausing { until_ms: now.date_of(*until).0 },
                Stage::Halted(left) => Doing::Halted { left: *left },
                Stage::Recording(taking) => Doing::Recording(taking.position(now)),
                Stage::Recognising => Doing::Recognising,
            },
        }
    }

    /// Takes up a program where a row says that it stood. What it asked for and what it played is
    /// known to be unanswered and unheard.
    pub(crate) fn restored(position: Position, now: Now) -> Self {
        let Position {
            source,
            url,
            text,
            next,
            begun,
            redirects,
            paused,
            gathering,
            doing,
            about_to_record,
        } = position;
        let verbs = twiml::parse(&text).map_or_else(|_| Vec::new(), |document| document.verbs);
        let stage = match doing {
            Doing::Nothing => Stage::Idle,
            Doing::Asking(asked) => Stage::Unanswered(asked),
            Doing::Playing => Stage::Unheard,
            Doing::Pausing { until_ms } => Stage::Pausing(now.instant_of(Timestamp(until_ms))),
            Doing::Halted { left } => Stage::Halted(left),
            Doing::Recognising => Stage::Recognising,
            Doing::Recording(taking) => match Taking::restored(taking, now) {
                Some(taking) => Stage::Recording(Box::new(taking)),
                None => Stage::Idle,
            },
        };
        Self {
            source,
            url,
            text,
            verbs,
            next,
            sound: None,
            begun,
            stage,
            redirects,
            paused,
            gathering,
            about_to_record,
        }
    }
}

/// Where a program stands, for a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    source: Option<Document>,
    url: String,
    text: String,
    next: usize,
    begun: bool,
    redirects: u32,
    paused: bool,
    gathering: Option<Gathering>,
    #[serde(default)]
    about_to_record: bool,
    doing: Doing,
}

/// What a program waits for, for a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Doing {
    Nothing,
    Asking(Box<Asked>),
    Playing,
    Pausing { until_ms: i64 },
    Halted { left: Duration },
    Recording(TakingPosition),
    Recognising,
}
