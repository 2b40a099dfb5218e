//! Mixed rooms: telephones, wide-band phones and Opus, with packets of every length, protected or not, 2 to 50 of
//! them; after each change that a room knows, every ear is held to the reference. One room has a phone of every kind and goes
//! through every kind of change; the others are drawn.
//!
//! `SIDETONE_SEED=n` plays one room and prints its changes; `SIDETONE_DEEP` plays many.

use std::collections::BTreeSet;
use std::time::Duration;

use media::{
    Bounds, Codec, Command, Hears, LegId, LegOptions, Pcm, PlayTo, PlayerId, Route, Speaks, Suite,
};

use crate::chance::Chance;
use crate::ears::windowed;
use crate::phone::{CODECS, OPUS, Phone, silence, tone};
use crate::rooms::{ROOM, Street, leg};

/// Rooms in a normal run and in a deep one.
const ROOMS: (u64, u64) = (24, 2_000);
/// Changes in each.
const CHANGES: u32 = 10;
/// Kinds of change, see [`Room::apply`]; of these, one lets somebody go, and one somebody come.
const KINDS: usize = 13;
const LEAVES: usize = 8;
const COMES: usize = 9;
/// Packets that phones send, and those that they want, in milliseconds.
const PACKETS: [u8; 5] = [10, 20, 30, 40, 60];
const OPUS_PACKETS: [u8; 4] = [10, 20, 40, 60];
const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];
/// Longest delay that a leg is bound to, for a while.
const BOUND: Duration = Duration::from_millis(100);
/// Most who talk in codecs that are dear to encode for: beyond that a room mixes the loudest.
const WIDE_TALKERS: usize = 8;
const TALKERS: usize = 14;
/// Most members.
const SIZE_MAX: usize = 50;
/// How strong each talks, and what is played.
const AMPLITUDE: f64 = 1_500.0;
/// What is played to all, and to those who are on hold.
const ANNOUNCED: f64 = 325.0;
const HOLD_MUSIC: f64 = 365.0;
/// By how much a room is turned down under what is played to one alone.
const DUCKED: f32 = 0.25;
/// Of a voice, what is nothing.
const NOTHING: f64 = 0.2;
const ANNOUNCER: PlayerId = PlayerId(1_000_000);
/// Pieces that are listened to until what should be heard is: play-out may be catching up meanwhile.
const TAKES: u32 = 5;

/// One member, as far as ears can tell.
#[derive(Debug, Clone, Default)]
struct Member {
    /// Its tone; none: it only listens.
    hertz: Option<f64>,
    gone: bool,
    muted: bool,
    held: bool,
    coaches: Option<usize>,
    gain: f64,
    hears_only: Option<BTreeSet<usize>>,
    heard_only_by: Option<BTreeSet<usize>>,
    /// Something is played to it alone, over the room.
    told: bool,
    /// Its phone has put us on hold: it sends nothing, and wants nothing.
    away: bool,
    /// Its delay is bound.
    bound: bool,
}

impl Member {
    /// What it says, if it is there and says something.
    fn tone(&self) -> Option<f64> {
        self.hertz.filter(|_| !self.gone)
    }

    /// Whether the music of those on hold is played to it, or something else that sounds like it.
    fn has_music(&self) -> bool {
        !self.gone && (self.held || self.told)
    }
}

/// The reference: who hears whom, and how loud.
#[derive(Debug, Clone, Default)]
struct Model {
    members: Vec<Member>,
    announced: bool,
}

impl Model {
    /// Returns how loud one hears another.
    fn gain(&self, listener: usize, speaker: usize) -> f64 {
        let (ear, mouth) = (&self.members[listener], &self.members[speaker]);
        let apart = |few: &Option<BTreeSet<usize>>, other| {
            few.as_ref().is_some_and(|few| !few.contains(&other))
        };
        let silent = listener == speaker
            || ear.gone
            || mouth.gone
            || ear.held
            || mouth.held
            || ear.away
            || mouth.away
            || mouth.muted
            || mouth.coaches.is_some_and(|coached| coached != listener)
            || apart(&ear.hears_only, speaker)
            || apart(&mouth.heard_only_by, listener);
        if silent { 0.0 } else { mouth.gain }
    }

    /// Returns the place in the mix that makes it so for one member.
    fn route(&self, who: usize) -> Route {
        let me = &self.members[who];
        let others = (0..self.members.len()).filter(|&other| self.gain(other, who) > 0.0);
        let few = |only: bool| others.clone().filter(move |&other| only || self.is_apart(other));
        let speaks_to_all = me.coaches.is_none() && me.heard_only_by.is_none();
        let speaks = match () {
            () if me.held || me.muted => Speaks::Nobody,
            () if speaks_to_all => Speaks::Everyone,
            () => Speaks::Only(few(true).map(leg).collect()),
        };
        let besides =
            if speaks == Speaks::Everyone { few(false).map(leg).collect() } else { Vec::new() };
        let hears = match () {
            () if me.held => Hears::Nothing,
            () if self.is_apart(who) => Hears::Played,
            () => Hears::Everyone,
        };
        let room_gain = if me.told { DUCKED } else { 1.0 };
        Route {
            room: Some(ROOM),
            speaks,
            besides,
            gain: me.gain as f32,
            hears,
            room_gain,
            ..Route::nowhere()
        }
    }

    /// Whether one hears by ways of its own alone.
    fn is_apart(&self, who: usize) -> bool {
        self.members[who].hears_only.is_some()
    }

    fn present(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&who| !self.members[who].gone).collect()
    }
}

/// A room, and what it should sound like.
struct Room {
    street: Street,
    model: Model,
    chance: Chance,
    way: Vec<String>,
    playing: BTreeSet<PlayerId>,
    /// Whom the last change was of.
    last: usize,
}

impl Room {
    fn empty(seed: u64) -> Self {
        Self {
            street: Street::new(),
            model: Model::default(),
            chance: Chance::new(seed),
            way: Vec::new(),
            playing: BTreeSet::new(),
            last: 0,
        }
    }

    fn open(seed: u64) -> Self {
        let mut room = Self::empty(seed);
        let chance = &mut room.chance;
        // Of four rooms, one is large.
        let size =
            if chance.one_in(4) { 9 + chance.below(SIZE_MAX - 8) } else { 2 + chance.below(7) };
        (0..size).for_each(|_| room.join());
        room.street.run(600);
        room
    }

    /// A room with a phone of every codec, of packets of every length, plain and protected: forty. The first of each
    /// codec talks, and every third after it.
    fn of_every_kind() -> Self {
        let mut room = Self::empty(1);
        let kinds = PACKETS.iter().flat_map(|&ms| [(ms, false), (ms, true)]).enumerate();
        for (place, (ms, is_protected)) in kinds {
            for (number, codec) in CODECS.into_iter().enumerate() {
                let is_wide = !codec.is_stateless();
                let talks = place % 3 == 0 && (is_wide || place < 9);
                let is_opus = matches!(codec, Codec::Opus(_));
                let sent = if is_opus { OPUS_PACKETS[place % 4] } else { ms };
                let suite = is_protected.then_some(SUITES[(place + number) % 4]);
                // No codec has packets of 30 ms in Opus.
                let wanted = if is_opus && ms == 30 { 20 } else { ms };
                room.enter(codec, talks, sent, wanted, suite);
            }
        }
        room.street.run(600);
        room
    }

    fn join(&mut self) {
        let chance = &mut self.chance;
        let codec = CODECS[chance.below(4)];
        let wide = |phone: &Phone| !phone.codec.is_stateless();
        let talkers = self.model.members.iter().zip(&self.street.phones);
        let talkers: Vec<&Phone> =
            talkers.filter(|(member, _)| member.tone().is_some()).map(|(_, phone)| phone).collect();
        let talks = talkers.len() < TALKERS
            && (codec.is_stateless()
                || talkers.iter().filter(|phone| wide(phone)).count() < WIDE_TALKERS);
        let sent: &[u8] = if matches!(codec, Codec::Opus(_)) { &OPUS_PACKETS } else { &PACKETS };
        let (sent, wanted) = (chance.of(sent), chance.of(&PACKETS));
        let suite = if chance.one_in(2) { Some(chance.of(&SUITES)) } else { None };
        self.enter(codec, talks, sent, wanted, suite);
    }

    fn enter(&mut self, codec: Codec, talks: bool, sent: u8, wanted: u8, suite: Option<Suite>) {
        let number = self.model.members.len();
        let spoken: Vec<f64> = self.model.members.iter().filter_map(Member::tone).collect();
        let free = (0..TALKERS).map(|at| 425.0 + 60.0 * at as f64);
        let hertz = free.into_iter().find(|hertz| talks && !spoken.contains(hertz));
        let voice = hertz.map_or_else(silence, |hertz| tone(hertz, AMPLITUDE));
        let mut phone = Phone::new(codec, voice).with_packets(sent);
        phone.ptime_ms = wanted;
        if let Some(suite) = suite {
            phone = phone.protected(suite);
        }
        self.way.push(format!("{number} comes: {codec:?}, {hertz:?}"));
        self.street.call(phone);
        self.model.members.push(Member { hertz, gain: 1.0, ..Member::default() });
        self.settle();
    }

    /// Does something that a room knows, and says what.
    fn change(&mut self) {
        let present = self.model.present();
        let (drawn, other) = (self.chance.of(&present), self.chance.of(&present));
        // As often as not the one of before, so that what was done is undone as well.
        let again = self.chance.one_in(2) && present.contains(&self.last);
        let who = if again { self.last } else { drawn };
        self.last = who;
        let some: BTreeSet<usize> =
            present.iter().copied().filter(|&one| one != who && self.chance.one_in(2)).collect();
        let what = self.chance.below(KINDS);
        if what == COMES && present.len() < SIZE_MAX {
            self.join();
        } else if what != LEAVES || present.len() > 2 {
            self.apply(what, who, other, some);
        }
    }

    /// Does one kind of thing to one; done again, most are undone.
    fn apply(&mut self, what: usize, who: usize, other: usize, some: BTreeSet<usize>) {
        self.way.push(format!("change {what} of {who}, {other}, {some:?}"));
        let me = &mut self.model.members[who];
        match what {
            0 => me.muted = !me.muted,
            1 => me.held = !me.held,
            2 => me.coaches = (other != who && me.coaches.is_none()).then_some(other),
            3 => me.gain = if me.gain == 1.0 { self.chance.of(&[0.5, 0.7, 1.4]) } else { 1.0 },
            4 => me.hears_only = me.hears_only.is_none().then_some(some),
            5 => me.heard_only_by = me.heard_only_by.is_none().then_some(some),
            6 => me.told = !me.told,
            7 => self.model.announced = !self.model.announced,
            LEAVES => {
                me.gone = true;
                self.street.command(Command::RemoveLeg(leg(who)));
            }
            10 => {
                me.away = !me.away;
                self.street.phones[who].quiet = me.away;
                self.agree(who);
            }
            11 => {
                me.bound = !me.bound;
                let delay_max = if me.bound { BOUND } else { Bounds::default().delay_max };
                self.street.command(Command::BoundJitter(leg(who), Bounds { delay_max }));
            }
            12 => self.change_codec(who),
            _ => {}
        }
        self.settle();
    }

    /// Lets a phone speak another codec, of which as many may talk.
    fn change_codec(&mut self, who: usize) {
        let phone = &mut self.street.phones[who];
        let codec = match phone.codec {
            Codec::Pcmu => Codec::Pcma,
            Codec::Pcma => Codec::Pcmu,
            Codec::G722 => OPUS,
            Codec::Opus(_) => Codec::G722,
        };
        phone.packet_us = 20_000;
        phone.ptime_ms = 20;
        phone.agree_on(leg(who), codec);
        self.agree(who);
    }

    /// Lets the shard know what was agreed on with a phone.
    fn agree(&mut self, who: usize) {
        let (phone, me) = (&self.street.phones[who], &self.model.members[who]);
        let (sends, receives) = (!me.away, !me.away);
        let options = LegOptions { sends, receives, ..phone.terms(leg(who)) };
        self.street.command(Command::UpdateLeg(leg(who), Box::new(options)));
    }

    /// Lets the shard know how things are now.
    fn settle(&mut self) {
        for who in self.model.present() {
            self.street.place(who, self.model.route(who));
        }
        let music = (0..).zip(&self.model.members).map(|(who, member)| {
            (PlayerId(who), PlayTo::Leg(LegId(who)), HOLD_MUSIC, member.has_music())
        });
        let room = (ANNOUNCER, PlayTo::Room(ROOM), ANNOUNCED, self.model.announced);
        for (player, to, hertz, plays) in music.chain([room]).collect::<Vec<_>>() {
            if plays && self.playing.insert(player) {
                let (pcm, loops) = (second(hertz, AMPLITUDE), None);
                self.street.command(Command::Play { player, to, pcm, loops, paused: false });
            } else if !plays && self.playing.remove(&player) {
                self.street.command(Command::Stop(player));
            }
        }
    }

    /// Listens with all ears; returns what is not as it should be.
    fn judge(&mut self) -> Vec<String> {
        self.street.run(180);
        let mut faults = Vec::new();
        for _ in 0..TAKES {
            self.street.run(300);
            let judged = self.model.present().into_iter().flat_map(|who| self.hear(who));
            let (missing, wrong): (Vec<_>, Vec<_>) = judged.partition(|fault| fault.is_missing);
            faults = missing.iter().chain(&wrong).map(|fault| fault.what.clone()).collect();
            if missing.is_empty() || !wrong.is_empty() {
                return faults;
            }
        }
        faults
    }

    /// Compares what one hears with what it should.
    fn hear(&self, who: usize) -> Vec<Fault> {
        let (phone, me) = (&self.street.phones[who], &self.model.members[who]);
        let announced = self.model.announced && !me.held && !me.away;
        let played = [(ANNOUNCED, announced), (HOLD_MUSIC, me.has_music() && !me.away)];
        let played = played.map(|(hertz, plays)| (hertz, f64::from(u8::from(plays))));
        let voices =
            self.model.members.iter().enumerate().filter_map(|(speaker, member)| {
                Some((member.tone()?, self.model.gain(who, speaker)))
            });
        let judged = played.into_iter().chain(voices).map(|(hertz, gain)| {
            let rate = phone.rate();
            // Where play-out catches up, everything is a tenth of a semitone higher.
            let levels = [1.0, 1.006_25].map(|by| windowed(&phone.heard, hertz * by, rate));
            let heard = levels[0].max(levels[1]) / AMPLITUDE;
            let wanted = match gain {
                0.0 => 0.0..NOTHING,
                // What is said to it alone is not turned down with the room.
                _ if me.told => gain * f64::from(DUCKED) * 0.5..gain * 1.5,
                _ => gain * 0.6..gain * 1.5,
            };
            let what = format!("{who} hears {hertz} Hz at {heard:.2}, not {wanted:?}");
            let is_missing = heard < wanted.start;
            (wanted.contains(&heard), Fault { is_missing, what })
        });
        judged.filter(|(is_right, _)| !is_right).map(|(_, fault)| fault).collect()
    }
}

/// Something is not as it should be.
struct Fault {
    /// It may still come.
    is_missing: bool,
    what: String,
}

/// Returns a second of a tone at 8 kHz.
fn second(hertz: f64, amplitude: f64) -> Pcm {
    let voice = tone(hertz, amplitude);
    (0..8_000).map(|at| voice(f64::from(at) / 8_000.0) as i16).collect()
}

/// Plays one room; returns what was wrong, and the way there.
fn play(seed: u64) -> Option<String> {
    let mut room = Room::open(seed);
    for _ in 0..CHANGES {
        let faults = room.judge();
        if !faults.is_empty() {
            let way = room.way.join("\n  ");
            return Some(format!("seed {seed}: {}\n  {way}", faults.join("; ")));
        }
        room.change();
    }
    None
}

#[test]
fn mixed_rooms_sound_as_they_should_after_every_change() {
    if let Ok(seed) = std::env::var("SIDETONE_SEED") {
        return assert_eq!(play(seed.parse().unwrap()), None);
    }
    let rooms = if std::env::var_os("SIDETONE_DEEP").is_some() { ROOMS.1 } else { ROOMS.0 };
    let faults: Vec<String> = (0..rooms).filter_map(play).collect();
    assert!(faults.is_empty(), "{} of {rooms} rooms:\n{}", faults.len(), faults.join("\n"));
}

/// Lets talkers of every codec, or only one of another codec each time, go through every kind of change and back.
#[test]
fn phones_of_every_kind_hear_every_kind_of_change() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let mut room = Room::of_every_kind();
    let judge = |room: &mut Room| {
        let faults = room.judge();
        let last = room.way.last().cloned().unwrap_or_default();
        assert!(faults.is_empty(), "{last}: {}", faults.join("; "));
    };
    judge(&mut room);
    for what in (0..KINDS).filter(|&what| what != LEAVES && what != COMES) {
        for codec in (0..CODECS.len()).filter(|codec| deep || what % CODECS.len() == *codec) {
            // Talkers of a codec are twelve apart; whom each coaches speaks another one.
            let who = codec + 12 * (what % 3);
            let some: BTreeSet<usize> = (0..40).filter(|&one| one % 2 == 0 && one != who).collect();
            for _ in 0..2 {
                room.apply(what, who, (who + 5) % 40, some.clone());
                judge(&mut room);
            }
        }
    }
    for who in 0..CODECS.len() {
        room.apply(LEAVES, who, who, BTreeSet::new());
        judge(&mut room);
        let (codec, suite) = (CODECS[who], Some(SUITES[who]));
        room.enter(codec, true, 20, 20, suite);
        judge(&mut room);
    }
}
