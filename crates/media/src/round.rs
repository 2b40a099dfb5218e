//! One frame of every room and leg: listen, mix, send. Nothing is allocated while all is steady.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::SAMPLES;
use crate::bus::Buses;
use crate::codec::{Codec, PAYLOAD_MAX};
use crate::command::{Channel, Event, PlayTo};
use crate::desk::Desk;
use crate::document::Documents;
use crate::dtmf::{Sending, Step};
use crate::ids::{LegId, PlayerId};
use crate::leg::Leg;
use crate::legs::Legs;
use crate::player::{Player, Progress};
use crate::protected::seal;
use crate::rate::Rate;
use crate::recording::Waiting;
use crate::room::Room;
use crate::rtcp;
use crate::rtp::Header;
use crate::sidebar::add_narrow;
use crate::talkers;
use crate::transmits::{Envelope, Transmits};

/// Most events that wait to be polled; digits and speech beyond are lost, ends of players never.
pub const EVENTS_MAX: usize = 65_536;

/// What one tick works with.
pub struct Round<'a> {
    pub now: Instant,
    /// The time by which legs are played out.
    pub clock: Instant,
    pub transmits: &'a mut Transmits,
    pub events: &'a mut VecDeque<Event>,
    pub players: &'a mut BTreeMap<PlayerId, PlayTo>,
    pub encoded: &'a mut u64,
    /// Voices that were not mixed, as others are louder.
    pub unmixed: &'a mut u64,
    pub recorded: &'a mut Waiting,
    pub desk: &'a mut Desk,
    /// Legs that are to go elsewhere.
    pub moving: &'a mut Vec<LegId>,
}

impl Round<'_> {
    /// Mixes a room and sends to its legs.
    pub fn room(&mut self, room: &mut Room, legs: &mut Legs, documents: &mut Documents) {
        if let Some(leg) = room.alone().and_then(|place| legs.at_mut(place))
            && leg.rests()
        {
            // Who waits alone hears what is played to it, as those do who are in no room.
            room.buses = Buses::default();
            return self.loose(leg, documents);
        }
        room.begin(self.desk);
        self.gather(room, legs);
        room.dominant.observe(room.speaking.drain(..));
        self.play(room);
        room.close();
        self.record_room(room, legs);
        let mut shares_memory = false;
        for index in 0..room.members.len() {
            let Some(leg) = legs.at_mut(room.members[index]) else { continue };
            if self.shares(room, leg) {
                // Whoever leaves a shared encoder takes it as it was before this tick.
                shares_memory |= !leg.options.codec.is_stateless();
                if !leg.own.shared {
                    documents.release(leg);
                    if let Some(encodings) = room.encodings(leg.own.mix, leg.rate()) {
                        encodings.join(leg.options.codec, &mut leg.own);
                    }
                }
                if leg.options.codec.is_stateless() {
                    self.send_shared(room, leg);
                }
            } else {
                self.send_mix(room, leg, documents);
            }
        }
        if shares_memory {
            for index in 0..room.members.len() {
                let Some(leg) = legs.at_mut(room.members[index]) else { continue };
                if leg.own.shares && !leg.options.codec.is_stateless() {
                    self.send_shared(room, leg);
                }
            }
        }
        for index in 0..room.members.len() {
            if let Some(leg) = legs.at_mut(room.members[index]) {
                self.finish(leg);
            }
        }
        room.buses.end(self.desk);
    }

    /// Adds up who speaks.
    fn gather(&mut self, room: &mut Room, legs: &mut Legs) {
        *self.unmixed += talkers::choose(room, legs) as u64;
        let apart = room.records_apart();
        room.speaking.clear();
        for index in 0..room.members.len() {
            let place = room.members[index];
            let Some(leg) = legs.at_mut(place) else { continue };
            self.listen(leg);
            if leg.is_speaking()
                && let Some(level) = leg.spoken_level()
            {
                room.speaking.push((leg.id, level));
            }
            let bus = room.buses.at(leg.rate());
            bus.members += 1;
            if leg.speaks_now {
                bus.add(&leg.sound.spoken);
            }
            if apart && leg.speaks_now {
                leg.narrow_spoken.of(leg.options.codec.rate(), &leg.sound.spoken);
            }
            if !leg.edges.all.is_empty() {
                whisper(room, legs, place);
            }
        }
        room.whispers.close();
    }

    /// Adds what is played to all.
    fn play(&mut self, room: &mut Room) {
        if room.players.is_empty() {
            room.played = None;
            return;
        }
        let played = room.played.get_or_insert_with(|| Box::new([0; SAMPLES]));
        played.fill(0);
        for player in &mut room.players {
            player.advance(&mut played[..]);
        }
        room.buses.at(Rate::Narrow).add(&played[..]);
        self.settle(&mut room.players);
    }

    fn record_room(&mut self, room: &mut Room, legs: &Legs) {
        if room.recorders.is_empty() {
            return;
        }
        let mut recorders = std::mem::take(&mut room.recorders);
        let spoken = |leg| {
            let place = legs.place(leg).filter(|place| room.members.contains(place))?;
            let leg = legs.at(place).filter(|leg| leg.speaks_now)?;
            Some(leg.narrow_spoken.last())
        };
        room.record(&mut recorders, spoken, self.recorded);
        room.recorders = recorders;
    }

    /// Returns whether a leg is sent what others are sent who hear the same: all who add nothing themselves, or a few.
    fn shares(&self, room: &mut Room, leg: &mut Leg) -> bool {
        let codec = leg.options.codec;
        let mix = room.mix_of(leg);
        let is_like = |mix| {
            let limiter = room.limiter_before(mix, leg.rate());
            leg.own.shares || limiter.is_some_and(|limiter| leg.limiter.is_like(limiter))
        };
        let same = mix.filter(|&mix| mix == leg.own.mix && is_like(mix));
        let encodings = same.and_then(|mix| room.encodings(mix, leg.rate()));
        let encoding = encodings.and_then(|encodings| encodings.of(codec));
        let shares = leg.own.may_share(same.is_some(), codec, encoding);
        // Whoever goes remembers from where.
        if let Some(mix) = mix.filter(|_| !leg.own.shared) {
            leg.own.mix = mix;
        }
        shares
    }

    fn send_shared(&mut self, room: &mut Room, leg: &mut Leg) {
        let (codec, loss) = (leg.options.codec, leg.reported_loss());
        let Some((common, encodings)) = room.shared(leg.own.mix, leg.rate()) else { return };
        self.record(leg, common);
        let payload = encodings.encoded(codec, common, loss, self.encoded);
        self.transmit(leg, payload);
    }

    /// Sends the mix as one leg alone hears it.
    fn send_mix(&mut self, room: &mut Room, leg: &mut Leg, documents: &mut Documents) {
        let mut heard = self.nothing_heard(leg.rate());
        if leg.own.shared
            && let Some(limiter) = room.limiter_before(leg.own.mix, leg.rate())
        {
            leg.limiter = *limiter;
        }
        leg.hear_others(&room.buses.at(leg.rate()).sums.mix, &mut heard);
        room.whispers.add_to(leg.id, &mut heard);
        self.send_alone(leg, &mut heard, Some(room), documents);
        self.desk.heard = heard;
    }

    /// Sends to a leg without a room what is played to it.
    pub fn loose(&mut self, leg: &mut Leg, documents: &mut Documents) {
        self.listen(leg);
        leg.own.may_share(false, leg.options.codec, None);
        let mut heard = self.nothing_heard(leg.rate());
        self.send_alone(leg, &mut heard, None, documents);
        self.desk.heard = heard;
        self.finish(leg);
    }

    /// Takes the buffer of what one leg hears, with silence in it.
    fn nothing_heard(&mut self, rate: Rate) -> Vec<i32> {
        let mut heard = std::mem::take(&mut self.desk.heard);
        heard.clear();
        heard.resize(rate.samples(), 0);
        heard
    }

    fn listen(&mut self, leg: &mut Leg) {
        if leg.rests() {
            return leg.pass();
        }
        leg.sound = self.desk.sound(leg.rate());
        leg.listen(self.clock);
        if let Some(speaking) = leg.speech()
            && self.events.len() < EVENTS_MAX
        {
            self.events.push_back(Event::Speech(leg.id, speaking));
        }
        if let Some(answerer) = leg.answerer() {
            self.events.push_back(Event::Answerer(leg.id, answerer));
        }
        if leg.has_fallen_silent(self.now) {
            self.events.push_back(Event::Silent(leg.id));
        }
    }

    /// Sends to one leg what it hears of its room, and what is played to it.
    fn send_alone(
        &mut self,
        leg: &mut Leg,
        heard: &mut [i32],
        room: Option<&mut Room>,
        documents: &mut Documents,
    ) {
        let (codec, rate) = (leg.options.codec, leg.rate());
        let played = room.as_ref().and_then(|room| room.played.as_deref());
        let played = played.filter(|_| !leg.played_fade.is_silent());
        let hears_room = played.is_some() || heard.iter().fold(0, |all, sample| all | sample) != 0;
        if let Some(payload) = documents.payload(leg, !hears_room, self.encoded) {
            return self.transmit(leg, payload);
        }
        add_players(leg, played, heard);
        let mut frame = std::mem::take(&mut self.desk.limited);
        frame.resize(rate.samples(), 0);
        leg.limiter.limit(rate, heard, &mut frame);
        self.record(leg, &frame);
        *self.encoded += 1;
        let mut payload = [0; PAYLOAD_MAX];
        let loss = leg.reported_loss();
        let mix = leg.own.mix;
        let shared = room.and_then(|room| room.encodings(mix, rate)?.encoder(codec));
        let length = leg.own.encode(codec, shared, &frame, loss, &mut payload);
        self.desk.limited = frame;
        self.transmit(leg, &payload[..length]);
    }

    fn record(&mut self, leg: &mut Leg, outbound: &[i16]) {
        if leg.recorders.is_empty() {
            return;
        }
        let rate = leg.rate();
        leg.narrow_voice.of(rate, &leg.sound.voice);
        leg.narrow_heard.of(rate, outbound);
        for recorder in &leg.recorders {
            self.recorded.push_leg(recorder, leg.narrow_voice.last(), leg.narrow_heard.last());
        }
    }

    fn finish(&mut self, leg: &mut Leg) {
        self.desk.put_sound(leg.rate(), std::mem::take(&mut leg.sound));
        if !leg.players.is_empty() {
            self.settle(&mut leg.players);
        }
        if leg.pending.is_some() {
            self.moving.push(leg.id);
        }
    }

    /// Lets go of players that are over.
    fn settle(&mut self, players: &mut Vec<Player>) {
        players.retain(|player| match player.progress() {
            Progress::Plays => true,
            Progress::Ended => {
                self.players.remove(&player.id);
                self.events.push_back(Event::PlayerEnded(player.id));
                false
            }
            Progress::Stopped => {
                self.players.remove(&player.id);
                false
            }
        });
    }

    /// Sends a tick of encoded sound, or a key in its place.
    fn transmit(&mut self, leg: &mut Leg, payload: &[u8]) {
        let keys = leg.keys_out.tick();
        if keys == Step::Done
            && let Some(player) = leg.keys_player.take()
        {
            self.events.push_back(Event::PlayerEnded(player));
        }
        match (keys, leg.options.telephone_event) {
            (Step::Send(sending), Some(payload_type)) if leg.options.sends => {
                // What waits leaves before a key.
                self.send_paced(leg, true);
                self.send_key(leg, sending, payload_type);
            }
            _ => {
                if let Some(steps) = leg.pacer.pass(payload) {
                    self.send_packet(leg, payload, steps, Duration::ZERO);
                } else {
                    leg.pacer.push(payload);
                    self.send_paced(leg, false);
                }
            }
        }
        if self.now >= leg.report_at {
            self.send_report(leg);
        }
    }

    fn send_key(&mut self, leg: &mut Leg, sending: Sending, payload_type: u8) {
        let (codec, ticks) = (leg.options.codec, u32::from(sending.ticks));
        let header = Header {
            payload_type,
            marker: sending.first,
            timestamp: leg.timestamp.wrapping_sub(ticks * steps_in_a_tick(codec)),
            ..header(leg)
        };
        let payload = sending.payload(codec.clock());
        self.send(leg, &header, &payload, Duration::ZERO);
        leg.sent(0);
        leg.timestamp = leg.timestamp.wrapping_add(steps_in_a_tick(codec));
        leg.marker = true;
    }

    fn send_report(&mut self, leg: &mut Leg) {
        leg.report_at = self.now + rtcp::INTERVAL;
        let to = leg.latch_rtcp.unwrap_or(leg.options.remote_rtcp);
        if to.ip().is_unspecified() {
            return; // It is on hold and has never said where it is.
        }
        let packet = &mut self.desk.packet[..];
        let length = leg.report(packet, self.now);
        let length = seal(&mut leg.protected, packet, length, true);
        let report = Envelope { leg: leg.id, channel: Channel::Rtcp, to, settled: false };
        self.transmits.push(self.now, Duration::ZERO, report, &packet[..length]);
    }

    /// Sends the packets that are due, or all that there are.
    fn send_paced(&mut self, leg: &mut Leg, all: bool) {
        let mut payload = [0; PAYLOAD_MAX];
        while let Some(paced) = leg.pacer.pop(&mut payload, all) {
            self.send_packet(leg, &payload[..paced.length], paced.steps, paced.late);
        }
    }

    /// Sends a packet of sound in which the RTP clock goes on by so many steps; nothing while there is nothing
    /// to hear.
    fn send_packet(&mut self, leg: &mut Leg, payload: &[u8], steps: u32, late: Duration) {
        if leg.options.sends && !payload.is_empty() {
            self.send(leg, &header(leg), payload, late);
            leg.sent(payload.len());
        }
        leg.marker |= payload.is_empty();
        leg.timestamp = leg.timestamp.wrapping_add(steps);
    }

    /// Sends a packet, protected as it was agreed on.
    fn send(&mut self, leg: &mut Leg, header: &Header, payload: &[u8], late: Duration) {
        let packet = &mut self.desk.packet;
        let length = header.write(payload, packet);
        let length = seal(&mut leg.protected, &mut packet[..], length, false);
        let (to, settled) = (leg.latch.remote(), leg.latch.is_settled(self.now));
        let envelope = Envelope { leg: leg.id, channel: Channel::Rtp, to, settled };
        self.transmits.push(self.now, late, envelope, &packet[..length]);
    }
}

/// Adds what is played to one leg, alone or, where it hears nobody of the room, with all others.
fn add_players(leg: &mut Leg, with_all: Option<&[i32; SAMPLES]>, heard: &mut [i32]) {
    let rate = leg.rate();
    if leg.players.is_empty() && with_all.is_none() {
        leg.resampler_played = None;
        return;
    }
    let mut played = [0; SAMPLES];
    leg.players.iter_mut().for_each(|player| player.advance(&mut played));
    if let Some(with_all) = with_all {
        leg.played_fade.add(&mut played, with_all);
    }
    add_narrow(&played, rate, &mut leg.resampler_played, heard);
}

/// Adds to a room what single legs hear of the one at `place`.
fn whisper(room: &mut Room, legs: &mut Legs, place: usize) {
    let Some(mut edges) = legs.at_mut(place).map(|leg| std::mem::take(&mut leg.edges)) else {
        return;
    };
    if let Some(leg) = legs.at(place) {
        let from = (leg.id, leg.rate());
        let rate_of = |to| legs.get(to).map(Leg::rate);
        room.whispers.add(&mut edges, &leg.sound.voice, from, rate_of);
    }
    if let Some(leg) = legs.at_mut(place) {
        leg.edges = edges;
    }
}

fn header(leg: &Leg) -> Header {
    Header {
        marker: leg.marker,
        payload_type: leg.options.payload_type,
        sequence: leg.sequence,
        timestamp: leg.timestamp,
        ssrc: leg.ssrc,
    }
}

/// Returns by how much the RTP clock of a codec goes on in a tick.
fn steps_in_a_tick(codec: Codec) -> u32 {
    codec.clock() / 50
}
