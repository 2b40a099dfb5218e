//! Who hears whom beside what mute, hold and coaching say: how loud a participant is, whom it hears, and by whom
//! it is heard. Twilio has nothing like it.

use std::collections::BTreeSet;

use model::{AccountSid, CallSid, ConferenceSid, MomentEdge};

use crate::cleaning::{Cleaning, CleaningChanges};
use crate::conference::{Conference, PARTICIPANTS_MAX};
use crate::context::Context;
use crate::exchange::{Exchange, Touched, World};
use crate::participants::Participant;
use crate::{ParticipantKey, Refusal, Reply, Speaks, callbacks};

/// How loud the others hear a participant, in hundredths of a decibel; 0 is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Gain(i16);

impl Gain {
    /// Softest, in dB.
    pub const MIN_DB: f64 = -40.0;
    /// Loudest, in dB.
    pub const MAX_DB: f64 = 12.0;

    /// Makes a gain of decibels, [`Self::MIN_DB`] to [`Self::MAX_DB`]; nothing where they are out of range.
    pub fn from_db(db: f64) -> Option<Self> {
        let in_range = (Self::MIN_DB..=Self::MAX_DB).contains(&db);
        in_range.then(|| Self((db * 100.0).round() as i16))
    }

    /// Returns the decibels.
    pub fn db(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Returns the factor: 1.0 is unchanged.
    pub fn linear(self) -> f32 {
        10_f64.powf(self.db() / 20.0) as f32
    }
}

/// How a participant is heard, and what it hears, beside what Twilio's parameters say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edges {
    /// How loud the others hear it.
    pub gain: Gain,
    /// What is done to its sound.
    pub cleaning: Cleaning,
    /// Whom alone it hears; none: everyone. Who leaves drops out; who has nobody left hears nobody.
    pub hears_only: Option<BTreeSet<CallSid>>,
    /// Who alone hears it; none: everyone. Who leaves drops out; who has nobody left is heard by nobody.
    pub heard_only_by: Option<BTreeSet<CallSid>>,
}

impl Edges {
    /// Returns what has become of others, each change as the history tells it.
    fn since(&self, before: &Self) -> impl Iterator<Item = MomentEdge> {
        let few = |few: &Option<BTreeSet<CallSid>>| -> Option<Vec<CallSid>> {
            few.as_ref().map(|few| few.iter().copied().collect())
        };
        let gain = (self.gain != before.gain).then_some(MomentEdge::Gain(self.gain.0));
        let lists = |edges: &Self| (edges.hears_only.clone(), edges.heard_only_by.clone());
        let sidebar = (lists(self) != lists(before)).then(|| MomentEdge::Sidebar {
            hears_only: few(&self.hears_only),
            heard_only_by: few(&self.heard_only_by),
        });
        gain.into_iter().chain(self.cleaning.since(before.cleaning)).chain(sidebar)
    }

    /// Whether it takes part in a sidebar, on either side.
    pub(crate) const fn is_apart(&self) -> bool {
        self.hears_only.is_some() || self.heard_only_by.is_some()
    }

    fn may_hear(&self, speaker: CallSid) -> bool {
        self.hears_only.as_ref().is_none_or(|few| few.contains(&speaker))
    }

    fn may_be_heard_by(&self, listener: CallSid) -> bool {
        self.heard_only_by.as_ref().is_none_or(|few| few.contains(&listener))
    }

    fn forget(&mut self, call: CallSid) -> bool {
        let lists = [&mut self.hears_only, &mut self.heard_only_by];
        lists.into_iter().flatten().fold(false, |found, few| few.remove(&call) | found)
    }
}

/// `POST /sidetone/v1/Conferences/{ConferenceSid}/Participants/{CallSid or label}`. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeChanges {
    /// `Gain`.
    pub gain: Option<Gain>,
    /// `Levelling` and `NoiseSuppression`.
    pub cleaning: CleaningChanges,
    /// `HearsOnly`; nobody lifts it.
    pub hears_only: Option<Vec<ParticipantKey>>,
    /// `HeardOnlyBy`; nobody lifts it.
    pub heard_only_by: Option<Vec<ParticipantKey>>,
}

impl Exchange {
    /// Returns who a participant is, and how it is heard and hears.
    ///
    /// # Errors
    /// Where there is no such participant of this account.
    pub fn edges(
        &self,
        account: AccountSid,
        conference: ConferenceSid,
        key: &ParticipantKey,
    ) -> Result<(CallSid, Edges), Refusal> {
        let call = self.world.find_participant(account, conference, key)?;
        Ok((call, self.world.conferences[&conference].members[&call].edges.clone()))
    }
}

impl World {
    /// Sets how a participant is heard and hears: checked whole, then done at one instant.
    pub(crate) fn update_edges(
        &mut self,
        account: AccountSid,
        sid: ConferenceSid,
        key: &ParticipantKey,
        changes: EdgeChanges,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let call = self.find_participant(account, sid, key)?;
        let conference = self.conferences.get_mut(&sid).expect("just found");
        let mut edges = conference.members[&call].edges.clone();
        if let Some(gain) = changes.gain {
            edges.gain = gain;
        }
        edges.cleaning = edges.cleaning.with(changes.cleaning);
        if let Some(few) = changes.hears_only {
            edges.hears_only = conference.others("HearsOnly", call, &few)?;
        }
        if let Some(few) = changes.heard_only_by {
            edges.heard_only_by = conference.others("HeardOnlyBy", call, &few)?;
        }
        let participant = conference.members.get_mut(&call).expect("just found");
        if participant.edges != edges {
            let before = std::mem::replace(&mut participant.edges, edges.clone());
            participant.record.date_updated = ctx.now.wall;
            for edge in edges.since(&before) {
                callbacks::edge_set(conference, &conference.members[&call], edge, ctx);
            }
            conference.note_sidebar(call);
            self.touch_participant(call);
            self.settle_all(sid, ctx);
        }
        Ok(Reply::Edges(call, Box::new(edges)))
    }

    /// Takes one that has left out of all sidebars. Returns who is to be wired anew for that.
    pub(crate) fn leave_sidebars(
        &mut self,
        sid: ConferenceSid,
        gone: &Participant,
    ) -> BTreeSet<CallSid> {
        let Some(conference) = self.conferences.get_mut(&sid) else { return BTreeSet::new() };
        let call = gone.record.call;
        conference.sidebars.remove(&call);
        let mut affected = gone.edges.hears_only.clone().unwrap_or_default();
        for one in &conference.sidebars {
            let member = conference.members.get_mut(one);
            if member.is_some_and(|member| member.edges.forget(call)) {
                affected.insert(*one);
                self.touched.insert(Touched::Participant(*one));
            }
        }
        affected
    }
}

impl Conference {
    /// Resolves who is named beside a participant; nobody is no list.
    fn others(
        &self,
        parameter: &'static str,
        own: CallSid,
        keys: &[ParticipantKey],
    ) -> Result<Option<BTreeSet<CallSid>>, Refusal> {
        let invalid = |message: String| Refusal::Invalid { parameter, message };
        if keys.len() > PARTICIPANTS_MAX as usize {
            return Err(invalid(format!("{} are more than {PARTICIPANTS_MAX}", keys.len())));
        }
        let mut few = BTreeSet::new();
        for key in keys {
            let call = self.call_of(key).ok_or_else(|| {
                invalid(format!("{:?} is not in the conference", key.to_string()))
            })?;
            if call == own {
                return Err(invalid(format!("{:?} is the participant itself", key.to_string())));
            }
            few.insert(call);
        }
        Ok((!few.is_empty()).then_some(few))
    }

    /// Notes whether a participant is in a sidebar.
    pub(crate) fn note_sidebar(&mut self, call: CallSid) {
        if self.members.get(&call).is_some_and(|member| member.edges.is_apart()) {
            self.sidebars.insert(call);
        } else {
            self.sidebars.remove(&call);
        }
    }

    /// Returns whose voice goes to a participant by a way of its own: to be wired when that one's own way changes.
    pub(crate) fn heard_apart(&self, listener: CallSid) -> BTreeSet<CallSid> {
        let own = self.members.get(&listener).and_then(|member| member.edges.hears_only.clone());
        let mut speakers = own.unwrap_or_default();
        speakers.extend(self.sidebars.iter().filter(|speaker| {
            let few =
                self.members.get(speaker).and_then(|member| member.edges.heard_only_by.as_ref());
            few.is_some_and(|few| few.contains(&listener))
        }));
        speakers
    }

    /// Says who hears one who speaks at all, and who hears it besides by a way of its own.
    pub(crate) fn heard_by(&self, speaker: CallSid) -> (Speaks, Vec<CallSid>) {
        let Some(member) = self.members.get(&speaker) else { return (Speaks::Nobody, Vec::new()) };
        let listener = |call: &CallSid| {
            let listener = self.members.get(call);
            listener.filter(|listener| *call != speaker && listener.hears_the_room())
        };
        if let Some(coached) = member.coaches() {
            let alone = |_| Speaks::Only(vec![coached]);
            return (listener(&coached).map_or(Speaks::Nobody, alone), Vec::new());
        }
        let hears = |call: &&CallSid| listener(call).is_some_and(|one| one.edges.may_hear(speaker));
        if let Some(few) = &member.edges.heard_only_by {
            let few: Vec<CallSid> = few.iter().filter(hears).copied().collect();
            let speaks = if few.is_empty() { Speaks::Nobody } else { Speaks::Only(few) };
            return (speaks, Vec::new());
        }
        let hears_few = |call: &&CallSid| {
            listener(call).is_some_and(|one| one.edges.hears_only.is_some()) && hears(call)
        };
        (Speaks::Everyone, self.sidebars.iter().filter(hears_few).copied().collect())
    }
}

impl Participant {
    /// Whether it hears others at all.
    pub(crate) fn hears_the_room(&self) -> bool {
        self.is_connected() && !self.record.hold
    }

    /// Whom it coaches.
    fn coaches(&self) -> Option<CallSid> {
        self.record.call_to_coach.filter(|_| self.record.coaching)
    }

    /// Whether a sidebar keeps another from hearing it; not who coaches, whom the coached hears in any case.
    pub(crate) fn is_kept_from(&self, listener: &Self) -> bool {
        let hears = listener.edges.may_hear(self.record.call);
        let is_heard = self.edges.may_be_heard_by(listener.record.call);
        self.coaches().is_none() && !(hears && is_heard)
    }
}

/// A participant's edges, as they are written beside its row.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct EdgesState {
    gain: Gain,
    cleaning: Cleaning,
    hears_only: Option<Vec<String>>,
    heard_only_by: Option<Vec<String>>,
}

impl EdgesState {
    pub(crate) fn of(edges: &Edges) -> Self {
        let written = |few: &Option<BTreeSet<CallSid>>| {
            few.as_ref().map(|few| few.iter().map(CallSid::to_string).collect())
        };
        Self {
            gain: edges.gain,
            cleaning: edges.cleaning,
            hears_only: written(&edges.hears_only),
            heard_only_by: written(&edges.heard_only_by),
        }
    }

    pub(crate) fn restored(self) -> Edges {
        let read = |few: Option<Vec<String>>| -> Option<BTreeSet<CallSid>> {
            few.map(|few| few.iter().filter_map(|sid| sid.parse().ok()).collect())
        };
        Edges {
            gain: self.gain,
            cleaning: self.cleaning,
            hears_only: read(self.hears_only),
            heard_only_by: read(self.heard_only_by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_what_its_decibels_say() {
        for (db, linear) in [(0.0, 1.0), (-6.02, 0.5), (6.02, 2.0), (-40.0, 0.01), (12.0, 3.981)] {
            let gain = Gain::from_db(db).unwrap();
            assert!((gain.linear() - linear).abs() < 0.001, "{db}");
            assert_eq!(gain.db(), db);
        }
        for db in [-40.1, 12.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Gain::from_db(db), None, "{db}");
        }
    }
}
