//! What every part of the exchange needs while it handles one thing: the time, new names, and the
//! list of effects.

use std::collections::BTreeMap;

use model::{
    AccountSid, Call, CallSid, CallbackSid, Change, ConferenceSid, Level, Notification,
    NotificationSid, Now, ParticipantSid, QueueSid, RecordingSid,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::{Effect, Failure, FetchId, PlayId};

/// Whose document or sound an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A call's TwiML.
    Call(CallSid),
    /// What a call hears in a queue.
    Queue(CallSid),
    /// What a participant hears before the start, or while it is held.
    Music(CallSid),
    /// An announcement to one participant.
    Announcement(CallSid),
    /// An announcement to a conference.
    ConferenceAnnouncement(ConferenceSid),
}

/// New names, and to whom the open ones belong.
#[derive(Debug)]
pub(crate) struct Names {
    random: ChaCha12Rng,
    last: u64,
    fetches: BTreeMap<FetchId, Owner>,
    plays: BTreeMap<PlayId, Owner>,
    /// Where the API is reached.
    pub(crate) api_url: String,
    /// How many channels the recordings of conferences have.
    pub(crate) conference_channels: u8,
    /// Whether somebody recognises speech.
    pub(crate) recognises: bool,
}

impl Names {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: ChaCha12Rng::seed_from_u64(seed),
            last: 0,
            fetches: BTreeMap::new(),
            plays: BTreeMap::new(),
            api_url: String::new(),
            conference_channels: 1,
            recognises: false,
        }
    }

    fn octets(&mut self) -> [u8; 16] {
        let mut octets = [0; 16];
        self.random.fill_bytes(&mut octets);
        octets
    }

    pub(crate) fn call(&mut self) -> CallSid {
        CallSid::new(self.octets())
    }

    pub(crate) fn conference(&mut self) -> ConferenceSid {
        ConferenceSid::new(self.octets())
    }

    pub(crate) fn participant(&mut self) -> ParticipantSid {
        ParticipantSid::new(self.octets())
    }

    pub(crate) fn recording(&mut self) -> RecordingSid {
        RecordingSid::new(self.octets())
    }

    pub(crate) fn queue(&mut self) -> QueueSid {
        QueueSid::new(self.octets())
    }

    pub(crate) fn callback(&mut self) -> CallbackSid {
        CallbackSid::new(self.octets())
    }

    pub(crate) fn fetch(&mut self, owner: Owner) -> FetchId {
        self.last += 1;
        let fetch = FetchId(self.last);
        self.fetches.insert(fetch, owner);
        fetch
    }

    pub(crate) fn play(&mut self, owner: Owner) -> PlayId {
        let play = self.beep();
        self.plays.insert(play, owner);
        play
    }

    /// Names a sound whose end nobody waits for.
    pub(crate) fn beep(&mut self) -> PlayId {
        self.last += 1;
        PlayId(self.last)
    }

    /// Returns whom this answer is for, once; nobody, where the question was given up.
    pub(crate) fn take_fetch(&mut self, fetch: FetchId) -> Option<Owner> {
        self.fetches.remove(&fetch)
    }

    /// Returns whose sound this is.
    pub(crate) fn owner_of(&self, play: PlayId) -> Option<Owner> {
        self.plays.get(&play).copied()
    }

    /// Returns whose sound this was, once; nobody's, where it was stopped.
    pub(crate) fn take_play(&mut self, play: PlayId) -> Option<Owner> {
        self.plays.remove(&play)
    }

    /// Whether no answer is waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.fetches.is_empty() && self.plays.is_empty()
    }
}

/// What is at hand while one command or event is handled.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) names: &'a mut Names,
    pub(crate) effects: &'a mut Vec<Effect>,
    /// Conferences whose next sequence number is to be written.
    pub(crate) told: Vec<ConferenceSid>,
}

impl Context<'_> {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Returns a call as it was last written while this thing was handled.
    pub(crate) fn last_written(&self, sid: CallSid) -> Option<Call> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Write(Change::Call { record, .. }) if record.sid == sid => {
                Some((**record).clone())
            }
            _ => None,
        })
    }

    /// Writes one entry of the debugger log.
    pub(crate) fn notify(&mut self, about: About, level: Level, failure: &Failure) {
        let notification = Notification {
            sid: NotificationSid::new(self.names.octets()),
            account: about.account,
            call: about.call,
            conference: about.conference,
            level,
            code: failure.code,
            message: failure.message.clone(),
            request_url: about.url,
            date: self.now.wall,
        };
        self.push(Effect::Write(Change::Notification(Box::new(notification))));
    }
}

/// What an entry of the debugger log is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) account: AccountSid,
    pub(crate) call: Option<CallSid>,
    pub(crate) conference: Option<ConferenceSid>,
    pub(crate) url: Option<String>,
}
