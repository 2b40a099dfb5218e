//! One frame of every room and leg: listen, mix, send. Nothing is allocated while all is steady.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::command::{Event, LegId, PlayTo, PlayerId, Transmit};
use crate::dtmf::Step;
use crate::leg::Leg;
use crate::legs::Legs;
use crate::player::{Player, Progress};
use crate::protected::seal;
use crate::rate::Rate;
use crate::recording::Waiting;
use crate::room::{self, Room};
use crate::rtcp;
use crate::rtp::{Header, PACKET_MAX};
use crate::shard::{Channel, EVENTS_MAX};
use crate::{Frame, SAMPLES};

/// Datagrams that wait to be polled.
#[derive(Debug, Default)]
pub struct Transmits {
    /// Those that leave at once, and their octets one after the other: a thousand packets are
    /// not spread over more memory than they fill.
    ready: VecDeque<(Instant, Envelope, usize)>,
    octets: Vec<u8>,
    taken: usize,
    /// Those that leave between two ticks, in order.
    later: BTreeMap<(Instant, u64), Transmit>,
    count: u64,
}

/// A datagram but for its octets.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    leg: LegId,
    channel: Channel,
    to: SocketAddr,
}

impl Envelope {
    fn with(self, octets: &[u8]) -> Transmit {
        let Self { leg, channel, to } = self;
        let mut transmit =
            Transmit { leg, channel, to, octets: [0; PACKET_MAX], length: octets.len() };
        transmit.octets[..octets.len()].copy_from_slice(octets);
        transmit
    }
}

impl Transmits {
    fn push(&mut self, now: Instant, late: Duration, envelope: Envelope, octets: &[u8]) {
        if late.is_zero() {
            if self.ready.is_empty() {
                self.octets.clear();
                self.taken = 0;
            }
            self.ready.push_back((now, envelope, octets.len()));
            self.octets.extend_from_slice(octets);
        } else {
            self.count += 1;
            self.later.insert((now + late, self.count), envelope.with(octets));
        }
    }

    /// Returns the next one whose time has come.
    pub fn poll(&mut self, now: Instant) -> Option<Transmit> {
        let ready = self.ready.front().map(|(at, ..)| *at);
        let later = self.later.first_key_value().map(|((due, _), _)| *due);
        // A leg's packets stay in order, however late they are polled.
        if later.is_some_and(|due| due <= now && ready.is_none_or(|at| due < at)) {
            return self.later.pop_first().map(|(_, transmit)| transmit);
        }
        let (_, envelope, length) = self.ready.pop_front_if(|(at, ..)| *at <= now)?;
        let start = self.taken;
        self.taken += length;
        Some(envelope.with(&self.octets[start..self.taken]))
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let ready = self.ready.front().map(|(at, ..)| *at);
        let later = self.later.first_key_value().map(|((due, _), _)| *due);
        ready.into_iter().chain(later).min()
    }
}

/// What one tick works with.
pub struct Round<'a> {
    pub now: Instant,
    pub transmits: &'a mut Transmits,
    pub events: &'a mut VecDeque<Event>,
    pub players: &'a mut BTreeMap<PlayerId, PlayTo>,
    pub encoded: &'a mut u64,
    pub recorded: &'a mut Waiting,
    /// Legs that are to go elsewhere.
    pub moving: &'a mut Vec<LegId>,
}

impl Round<'_> {
    /// Mixes a room and sends to its legs.
    pub fn room(&mut self, room: &mut Room, legs: &mut Legs) {
        room.clear();
        for index in 0..room.members.len() {
            let Some(leg) = legs.at_mut(room.members[index]) else { continue };
            self.listen(leg);
            if leg.speaks_now {
                for (sum, &sample) in room.sum.iter_mut().zip(&leg.spoken) {
                    *sum += i32::from(sample);
                }
            }
            if !leg.edges.is_empty() {
                leg.whisper(&mut room.whispers);
            }
        }
        if !room.players.is_empty() {
            let mut played = [0; SAMPLES];
            for player in &mut room.players {
                player.advance(&mut played);
            }
            add_to(&mut room.sum, &played);
            self.settle(&mut room.players);
        }
        room.close();
        if !room.recorders.is_empty() {
            let mut recorders = std::mem::take(&mut room.recorders);
            let spoken = |leg| {
                let place = legs.place(leg).filter(|place| room.members.contains(place))?;
                legs.at(place).filter(|leg| leg.speaks_now).map(|leg| &leg.spoken)
            };
            room.record(&mut recorders, spoken, self.recorded);
            room.recorders = recorders;
        }
        for index in 0..room.members.len() {
            let Some(leg) = legs.at_mut(room.members[index]) else { continue };
            let whispered = room.whispers.iter().any(|(to, _)| *to == leg.id);
            let shared = !leg.speaks_now
                && !whispered
                && leg.players.is_empty()
                && leg.limiter.is_transparent()
                && leg.hear_fade.is_unity();
            if shared {
                self.record(leg, room.common());
                let frame = room.encoded(leg.options.codec, self.encoded);
                self.transmit(leg, frame);
            } else {
                let mut heard = [0; SAMPLES];
                leg.hear_others(&room.sum, &mut heard);
                for (_, whisper) in room.whispers.iter().filter(|(to, _)| *to == leg.id) {
                    add_to(&mut heard, whisper);
                }
                self.send_alone(leg, &mut heard);
            }
            self.finish(leg);
        }
    }

    /// Sends to a leg without a room what is played to it.
    pub fn loose(&mut self, leg: &mut Leg) {
        self.listen(leg);
        self.send_alone(leg, &mut [0; SAMPLES]);
        self.finish(leg);
    }

    fn listen(&mut self, leg: &mut Leg) {
        leg.listen(self.now);
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

    /// Encodes for one leg alone.
    fn send_alone(&mut self, leg: &mut Leg, heard: &mut [i32; SAMPLES]) {
        for player in &mut leg.players {
            player.advance(heard);
        }
        let mut frame = [0; SAMPLES];
        leg.limiter.limit(Rate::Narrow, heard, &mut frame);
        self.record(leg, &frame);
        *self.encoded += 1;
        self.transmit(leg, &room::encode(leg.options.codec, &frame));
    }

    fn record(&mut self, leg: &Leg, outbound: &Frame) {
        for recorder in &leg.recorders {
            self.recorded.push_leg(recorder, &leg.voice, outbound);
        }
    }

    fn finish(&mut self, leg: &mut Leg) {
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

    fn transmit(&mut self, leg: &mut Leg, frame: &[u8; SAMPLES]) {
        let (now, id) = (self.now, leg.id);
        let mut packet = [0; PACKET_MAX];
        let sound = Envelope { leg: id, channel: Channel::Rtp, to: leg.latch.remote() };
        let mut header = Header {
            marker: leg.marker,
            payload_type: leg.options.payload_type,
            sequence: leg.sequence,
            timestamp: leg.timestamp,
            ssrc: leg.ssrc,
        };
        let keys = leg.keys_out.tick();
        if keys == Step::Done
            && let Some(player) = leg.keys_player.take()
        {
            self.events.push_back(Event::PlayerEnded(player));
        }
        if let (Step::Send(sending), Some(payload_type)) = (keys, leg.options.telephone_event)
            && leg.options.sends
        {
            header.payload_type = payload_type;
            header.marker = sending.first;
            header.timestamp = leg.timestamp.wrapping_sub(u32::from(sending.ticks) * 160);
            let length = header.write(&sending.payload, &mut packet);
            let length = seal(&mut leg.protected, &mut packet, length, false);
            leg.sequence = leg.sequence.wrapping_add(1);
            leg.timestamp = leg.timestamp.wrapping_add(SAMPLES as u32);
            leg.stats.tx_packets += 1;
            leg.marker = true;
            self.transmits.push(now, Duration::ZERO, sound, &packet[..length]);
        } else {
            leg.pacer.push(frame);
            let pacer = &mut leg.pacer;
            while pacer.pop(|payload, late| {
                if leg.options.sends {
                    header.sequence = leg.sequence;
                    header.timestamp = leg.timestamp;
                    let length = header.write(payload, &mut packet);
                    let length = seal(&mut leg.protected, &mut packet, length, false);
                    header.marker = false;
                    leg.marker = false;
                    leg.sequence = leg.sequence.wrapping_add(1);
                    leg.stats.tx_packets += 1;
                    leg.sent_octets = leg.sent_octets.wrapping_add(payload.len() as u32);
                    self.transmits.push(now, late, sound, &packet[..length]);
                }
                leg.timestamp = leg.timestamp.wrapping_add(payload.len() as u32);
            }) {}
        }
        if now >= leg.report_at {
            leg.report_at = now + rtcp::INTERVAL;
            let to = leg.latch_rtcp.unwrap_or(leg.options.remote_rtcp);
            let length = leg.report(&mut packet, now);
            let length = seal(&mut leg.protected, &mut packet, length, true);
            let report = Envelope { leg: id, channel: Channel::Rtcp, to };
            self.transmits.push(now, Duration::ZERO, report, &packet[..length]);
        }
    }
}

fn add_to(sum: &mut [i32; SAMPLES], frame: &[i32; SAMPLES]) {
    for (sum, sample) in sum.iter_mut().zip(frame) {
        *sum += sample;
    }
}
