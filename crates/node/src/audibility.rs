//! Who hears whom, as the mixer has it, how loud each is, and who is the dominant speaker.

use std::collections::BTreeMap;

use exchange::{Cleaning, Edges, Hearing, ParticipantKey, Refusal, Silence};
use media::{Audible, LegId, RoomId, Shard, Voiced};
use model::{AccountSid, CallSid, ConferenceSid};

use crate::core::Core;

/// What is heard in a conference.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Audibility {
    /// Each ordered pair.
    pub pairs: Vec<Pair>,
    /// How loud each is, how well it comes, and what is done to its sound.
    pub levels: Vec<Level>,
    /// Who speaks, or spoke last.
    pub dominant: Option<CallSid>,
}

/// How loud one is, how well it comes, and what is done to its sound, as the mixer has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Who speaks.
    pub call: CallSid,
    /// In dB below overload, 0 to 127.
    pub below: u8,
    /// What its sound goes through before anybody hears it.
    pub cleaning: Cleaning,
    /// The mean opinion score of what comes, 1 to 4.5; none before anything has come. Source: ITU-T G.107.
    pub mos: Option<f32>,
}

impl Level {
    pub(crate) fn of(voiced: &Voiced, call: CallSid) -> Self {
        let media::Cleaning { levelling, noise_suppression } = voiced.cleaning;
        let cleaning = Cleaning { levelling, noise_suppression };
        Self { call, below: voiced.level, cleaning, mos: voiced.mos }
    }
}

/// What a shard says of a room.
#[derive(Debug, Default)]
pub(crate) struct Mixed {
    pairs: Vec<Audible>,
    voices: Vec<Voiced>,
    dominant: Option<LegId>,
}

impl Mixed {
    pub(crate) fn of(shard: &Shard, room: RoomId) -> Self {
        let (voices, dominant) = shard.voices(room);
        Self { pairs: shard.audibility(room), voices, dominant }
    }
}

impl Audibility {
    /// Joins what the exchange wants with what the mixer does.
    pub(crate) fn of(
        hearing: Vec<Hearing>,
        mixed: &Mixed,
        call_of: impl Fn(&LegId) -> Option<CallSid>,
    ) -> Self {
        let pairs = mixed
            .pairs
            .iter()
            .filter_map(|pair| Some(((call_of(&pair.listener)?, call_of(&pair.speaker)?), *pair)));
        let levels = mixed.voices.iter();
        Self {
            pairs: Pair::of(hearing, pairs.collect()),
            levels: levels.filter_map(|one| Some(Level::of(one, call_of(&one.leg)?))).collect(),
            dominant: mixed.dominant.as_ref().and_then(call_of),
        }
    }
}

/// Whose edges are asked for.
#[derive(Debug)]
pub struct EdgesAsked {
    pub account: AccountSid,
    pub conference: ConferenceSid,
    pub participant: ParticipantKey,
}

impl EdgesAsked {
    pub(crate) fn answer(&self, core: &Core) -> Result<(CallSid, Edges), Refusal> {
        core.exchange.edges(self.account, self.conference, &self.participant)
    }
}

/// Who hears whom, as the mixer has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Who hears.
    pub listener: CallSid,
    /// Who is heard.
    pub speaker: CallSid,
    /// Linear; 0.0 is not at all.
    pub gain: f32,
    /// Why not at all; empty where the speaker is heard.
    pub reasons: Vec<&'static str>,
}

impl Pair {
    /// Joins what the exchange wants with what the mixer does.
    fn of(hearing: Vec<Hearing>, mut mixed: BTreeMap<(CallSid, CallSid), Audible>) -> Vec<Self> {
        let mut pairs = Vec::new();
        for Hearing { listener, speaker, reasons } in hearing {
            let mixed = mixed.remove(&(listener, speaker));
            let gain = mixed.map_or(0.0, |mixed| mixed.gain);
            let reasons = match gain {
                gain if gain > 0.0 => Vec::new(),
                _ if mixed.is_some_and(|mixed| mixed.limited) => vec!["speaker_limit"],
                // The mixer has yet to open its sound.
                _ if reasons.is_empty() => vec!["joining"],
                _ => reasons.into_iter().map(Silence::as_str).collect(),
            };
            pairs.push(Self { listener, speaker, gain, reasons });
        }
        // Who is no participant any more is mixed until it has faded.
        pairs.extend(mixed.into_iter().map(|((listener, speaker), Audible { gain, .. })| {
            let reasons = if gain > 0.0 { Vec::new() } else { vec!["leaving"] };
            Self { listener, speaker, gain, reasons }
        }));
        pairs
    }
}
