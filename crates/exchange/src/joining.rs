//! How participants come: by `<Dial>`, or dialled by the API.
//!
//! Source: Twilio API 2010-04-01, Participant resource, create; TwiML `<Conference>`.

use model::{CallSid, ConferenceSid, Participant as Record, ParticipantStatus};
use twiml::Dial;

use crate::call::Origin;
use crate::callbacks::{self, ParticipantEvent};
use crate::conference::{Announcements, NAME_LENGTH_MAX};
use crate::context::Context;
use crate::exchange::{Touched, World};
use crate::participants::{Participant, check_coached, default_music};
use crate::{
    ConferenceKey, CreateParticipant, Edges, Effect, Failure, JoinOptions, Refusal, Reply, Sound,
};

/// What the receiver of a conference's events hears of where the API does not say.
/// Source: Twilio, `ConferenceStatusCallbackEvent`.
const DEFAULT_EVENTS: [&str; 2] = ["start", "end"];

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME_LENGTH_MAX {
        return Err(format!("a conference's name has 1 to {NAME_LENGTH_MAX} characters"));
    }
    Ok(())
}

impl World {
    /// Joins the conference that a `<Dial>` names.
    pub(crate) fn join(
        &mut self,
        call: CallSid,
        (dial, noun): (&Dial, &twiml::Conference),
        options: JoinOptions,
        ctx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let account = self.calls[&call].record.account;
        let name = noun.name.trim().to_owned();
        check_name(&name).map_err(|message| Failure { code: 13237, message })?;
        // Who was to be heard by one alone must not be heard by all.
        if noun.coach.is_some() && options.coach.is_none() {
            let message = "coach is no CallSid".to_owned();
            return Err(Failure { code: 13240, message });
        }
        let found = self.names.get(&(account, name.clone())).copied();
        self.check_entry(found, &options).map_err(|refusal| {
            let code = match refusal {
                Refusal::ConferenceFull => 16020,
                Refusal::LabelTaken => 16025,
                Refusal::LabelInvalid(_) => 16023,
                _ => 13240,
            };
            Failure { code, message: refusal.to_string() }
        })?;
        if found.is_none() {
            self.check_conferences(account)
                .map_err(|refusal| Failure { code: 16021, message: refusal.to_string() })?;
        }
        let sid = found.unwrap_or_else(|| self.make_conference(account, &name, &options, ctx));
        self.seat(sid, call, options, false, ctx);
        let entry = self.calls.get_mut(&call).expect("the caller has just looked it up");
        entry.joined = Some((sid, Origin::Dial(Box::new(dial.clone()))));
        self.participant_connected(call, ctx);
        Ok(())
    }

    /// `POST .../Conferences/{Sid or name}/Participants.json`
    pub(crate) fn create_participant(
        &mut self,
        mut create: CreateParticipant,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        self.check_dialling(create.account, &mut create.dialling, ctx.now.instant)?;
        if let ConferenceKey::Name(name) = &mut create.conference {
            // White space around a name is not part of it, whoever writes it.
            *name = name.trim().to_owned();
        }
        let found = self.find_conference(create.account, &create.conference);
        let name = match (&create.conference, found) {
            (ConferenceKey::Sid(_), None) => return Err(Refusal::ConferenceCompleted),
            (ConferenceKey::Sid(_), Some(_)) => String::new(),
            (ConferenceKey::Name(name), _) => name.clone(),
        };
        if found.is_none() {
            check_name(&name)
                .map_err(|message| Refusal::Invalid { parameter: "FriendlyName", message })?;
        }
        self.check_entry(found, &create.options)?;
        if found.is_none() {
            self.check_conferences(create.account)?;
        }
        if create.options.status_callback.events.is_empty() {
            create.options.status_callback.events = DEFAULT_EVENTS.map(str::to_owned).to_vec();
        }
        let sid = found
            .unwrap_or_else(|| self.make_conference(create.account, &name, &create.options, ctx));
        let size = create.options.jitter_buffer_size.clone();
        let call = self.dial(create.account, &create.dialling, None, size, None, ctx);
        self.seat(sid, call, create.options, create.early_media, ctx);
        let entry = self.calls.get_mut(&call).expect("it was just made");
        entry.joined = Some((sid, Origin::Api));
        let record = self.conferences[&sid].members[&call].record.clone();
        Ok(Reply::Participant(Box::new(record)))
    }

    /// Whether somebody may come in with these options.
    fn check_entry(
        &self,
        found: Option<ConferenceSid>,
        options: &JoinOptions,
    ) -> Result<(), Refusal> {
        if let Some(label) = &options.label {
            twiml::label::check(label).map_err(|error| Refusal::LabelInvalid(error.to_string()))?;
        }
        let conference = found.and_then(|sid| self.conferences.get(&sid));
        if let Some(conference) = conference {
            if conference.members.len() >= conference.max_participants as usize {
                return Err(Refusal::ConferenceFull);
            }
            if options.label.as_ref().is_some_and(|label| conference.labels.contains_key(label)) {
                return Err(Refusal::LabelTaken);
            }
        }
        if let Some(coached) = options.coach {
            check_coached(conference, coached)?;
        }
        Ok(())
    }

    /// Gives a call its place in a conference.
    fn seat(
        &mut self,
        sid: ConferenceSid,
        call: CallSid,
        options: JoinOptions,
        early_media: bool,
        ctx: &mut Context<'_>,
    ) {
        let participant_sid = ctx.names.participant();
        let conference = self.conferences.get_mut(&sid).expect("found or made just now");
        conference.arrivals += 1;
        let record = Record {
            sid: participant_sid,
            account: conference.record.account,
            call,
            conference: sid,
            label: options.label,
            status: ParticipantStatus::Queued,
            muted: options.muted,
            hold: false,
            coaching: options.coach.is_some(),
            call_to_coach: options.coach,
            start_conference_on_enter: options.start_conference_on_enter,
            end_conference_on_exit: options.end_conference_on_exit,
            date_created: ctx.now.wall,
            date_updated: ctx.now.wall,
        };
        if let Some(label) = &record.label {
            conference.labels.insert(label.clone(), call);
        }
        conference.coaches.extend(options.coach.map(|coached| (coached, call)));
        let new_region = options.region.filter(|_| !conference.region_named);
        if let Some(region) = new_region {
            conference.record.region = region;
            conference.region_named = true;
            self.touched.insert(Touched::Conference(sid));
        }
        if let Some(size) = &options.jitter_buffer_size {
            ctx.push(Effect::JitterBuffer { call, size: size.clone() });
        }
        let participant = Participant {
            record,
            arrival: conference.arrivals,
            beep: options.beep,
            wait: options.wait.unwrap_or_else(default_music),
            hold: default_music(),
            music: None,
            announcements: Announcements::default(),
            early_media,
            sounds_early: false,
            speaking: false,
            jitter_buffer_size: options.jitter_buffer_size,
            edges: Edges::default(),
            route: None,
        };
        conference.members.insert(call, Box::new(participant));
        self.touch_participant(call);
        self.touch_conference(sid);
    }

    /// A participant's phone rings.
    pub(crate) fn participant_ringing(
        &mut self,
        call: CallSid,
        early_media: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        if participant.is_connected() {
            return;
        }
        participant.record.status = ParticipantStatus::Ringing;
        participant.record.date_updated = ctx.now.wall;
        participant.sounds_early |= early_media;
        let is_heard = participant.early_media && participant.sounds_early;
        self.touch_participant(call);
        if is_heard {
            self.settle(sid, call, ctx);
        }
    }

    /// A participant is there: it counts from now on.
    pub(crate) fn participant_connected(&mut self, call: CallSid, ctx: &mut Context<'_>) {
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        participant.record.status = ParticipantStatus::Connected;
        participant.record.date_updated = ctx.now.wall;
        self.touch_participant(call);
        let conference = self.conferences.get_mut(&sid).expect("its participant was just found");
        let participant = conference.members.remove(&call).expect("just found");
        callbacks::participant_event(conference, &participant, ParticipantEvent::Join, ctx);
        let beeps = participant.beep.on_enter;
        conference.members.insert(call, participant);
        self.settle_arrival(sid, call, ctx);
        self.give_track(sid, call, ctx);
        if beeps {
            Self::beep(&self.conferences[&sid], Sound::EnterBeep, ctx);
        }
    }
}
