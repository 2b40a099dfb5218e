//! One call's media: what came from it, what it may say and hear, what goes to it.

mod prefetch;
mod receiving;
mod resting;

use std::time::{Duration, Instant};

use crate::activity::{Activity, Known};
use crate::audio_level::Told;
use crate::codec::Codec;
use crate::comfort::ComfortNoise;
use crate::command::{Cleaning, Hears, LegOptions, LegStats, Route, Speaks};
use crate::desk::Sound;
use crate::dtmf;
use crate::edge::{Edge, Edges};
use crate::encoding::Own;
use crate::fade::Fade;
use crate::ids::{LegId, PlayerId};
use crate::insert::Insert;
use crate::jitter::Jitter;
use crate::latch::Latch;
use crate::level::{SILENCE, Smoothed};
use crate::leveller::Leveller;
use crate::limiter::Limiter;
use crate::loudness::Loudness;
use crate::machine::{Answerer, Detector};
use crate::mos::Concealed;
use crate::narrowed::Narrowed;
use crate::offset::Offset;
use crate::pacer::Pacer;
use crate::player::Pcm;
use crate::player::Player;
use crate::protected::Protected;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::recording::Recorder;
use crate::resample::Resampler;
use crate::rtcp;
use crate::source::Source;
use crate::suppressor::Suppressor;
use resting::Rest;

/// A leg that should be sending and has not for this long is reported.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);

/// Who has sent something for so long sends.
const SENDS_WITHIN: Duration = Duration::from_secs(1);

/// Comfort noise's static payload type. Source: RFC 3389.
const COMFORT_NOISE: u8 = 13;
/// Players on one leg.
pub const PLAYERS_MAX: usize = 16;

/// One call's media.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    pub options: LegOptions,
    /// Opens and protects packets, where they are to be protected.
    pub protected: Option<Box<Protected>>,
    pub latch: Latch,
    pub latch_rtcp: Option<std::net::SocketAddr>,
    source: Option<Source>,
    /// The far end says what it loses.
    reports: bool,
    /// What the far end sends just now.
    codec_in: Codec,
    jitter: Jitter,
    /// From the rate of that to the leg's own, where they differ.
    resampler_in: Option<Box<Resampler>>,
    concealed: Concealed,
    /// What was counted before something began to be missing, until the next packet comes.
    before_gap: Option<(u64, Concealed)>,
    activity: Activity,
    told: Told,
    /// What is known of this tick's sound.
    known: Known,
    speaking: bool,
    level: Smoothed,
    offset: Offset,
    suppressor: Insert<Suppressor>,
    comfort: ComfortNoise,
    leveller: Insert<Leveller>,
    /// Says who has answered, until it has.
    pub detector: Option<Box<Detector>>,
    keys_in: dtmf::Receiver,
    pub keys_out: dtmf::Sender,
    pub keys_player: Option<PlayerId>,
    last_packet: Instant,
    reported_silent: bool,
    rest: Rest,
    pub stats: LegStats,

    /// This tick's; it holds what is spoken only while [`Self::speaks_now`].
    pub sound: Sound,
    pub speaks_now: bool,
    /// Whether it did in the tick before.
    pub spoke: bool,
    pub voice_fade: Fade,
    pub hear_fade: Fade,
    /// What is played to all, where it hears nobody of the room.
    pub played_fade: Fade,
    /// Whether there is room for it among those who are mixed.
    pub floor: Fade,
    pub loudness: Loudness,
    /// Those who hear this leg alone.
    pub edges: Edges,
    pub limiter: Limiter,
    pub route: Route,
    pub pending: Option<Pending>,
    pub players: Vec<Player>,
    /// What brings [`Self::players`] to the leg's rate.
    pub resampler_played: Option<Box<Resampler>>,
    pub recorders: Vec<Recorder>,
    /// What is recorded of the leg, at 8 kHz.
    pub narrow_voice: Narrowed,
    pub narrow_spoken: Narrowed,
    pub narrow_heard: Narrowed,

    /// The encoder of what this leg alone hears.
    pub own: Own,
    pub pacer: Pacer,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub marker: bool,
    pub epoch: Instant,
    pub report_at: Instant,
    pub sent_octets: u32,
}

/// What becomes of a leg when its ramps are down.
#[derive(Debug, PartialEq)]
pub enum Pending {
    Route(Route),
    /// It goes to another shard.
    Depart,
    Remove,
}

/// What a datagram told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Sound,
    Digit(char),
    Dropped,
}

impl Leg {
    pub fn new(id: LegId, mut options: LegOptions, random: [u32; 2], now: Instant) -> Self {
        options.codec = options.codec.in_packets(options.ptime_ms);
        Self {
            id,
            protected: Protected::of(options.protection, None),
            latch: Latch::new(options.remote, options.signals_from),
            latch_rtcp: None,
            source: None,
            reports: false,
            codec_in: options.codec,
            jitter: Jitter::new(options.codec, options.bounds),
            resampler_in: None,
            concealed: Concealed::default(),
            before_gap: None,
            activity: Activity::new(),
            told: Told::default(),
            known: Known::Nothing,
            speaking: false,
            level: Smoothed::new(),
            offset: Offset::new(),
            suppressor: Insert::new(),
            comfort: ComfortNoise::new(random[1]),
            leveller: Insert::new(),
            detector: None,
            keys_in: dtmf::Receiver::default(),
            keys_out: dtmf::Sender::default(),
            keys_player: None,
            last_packet: now,
            reported_silent: false,
            rest: Rest::default(),
            stats: LegStats::default(),
            sound: Sound::default(),
            speaks_now: false,
            spoke: false,
            voice_fade: Fade::at(0.0),
            hear_fade: Fade::at(0.0),
            played_fade: Fade::at(0.0),
            floor: Fade::at(1.0),
            loudness: Loudness::default(),
            edges: Edges::default(),
            limiter: Limiter::new(),
            route: Route::nowhere(),
            pending: None,
            players: Vec::new(),
            resampler_played: None,
            recorders: Vec::new(),
            narrow_voice: Narrowed::new(),
            narrow_spoken: Narrowed::new(),
            narrow_heard: Narrowed::new(),
            own: Own::new(),
            pacer: Pacer::new(options.codec, options.ptime_ms),
            // Half of the numbers lie before the first wrap, which SRTP could not tell if it was lost early.
            sequence: random[0] as u16 >> 1,
            timestamp: random[1],
            ssrc: random[0],
            marker: true,
            epoch: now,
            report_at: now + rtcp::INTERVAL.mul_f32(0.5 + (random[1] % 1_000) as f32 / 1_000.0),
            sent_octets: 0,
            options,
        }
    }

    pub fn update(&mut self, mut options: LegOptions, now: Instant) {
        self.wake();
        options.codec = options.codec.in_packets(options.ptime_ms);
        if options.remote.ip().is_unspecified() {
            // The hold of RFC 2543 names no address: whoever was there still is.
            (options.remote, options.remote_rtcp) = (self.options.remote, self.options.remote_rtcp);
        }
        self.latch.signal(options.remote, options.signals_from);
        if options.remote != self.options.remote {
            self.latch_rtcp = None;
        }
        if (options.codec, options.ptime_ms) != (self.options.codec, self.options.ptime_ms) {
            self.pacer = Pacer::new(options.codec, options.ptime_ms);
        }
        self.protected = Protected::of(options.protection, self.protected.take());
        self.jitter.set_bounds(options.bounds);
        self.last_packet = now;
        self.reported_silent = false;
        if options.audio_level != self.options.audio_level {
            self.told = Told::default();
        }
        if options.codec != self.options.codec {
            self.change_codec(options.codec);
        }
        if !options.receives {
            // What came so far is still heard; after it nothing is missing.
            self.jitter.end();
            self.comfort.stop();
        }
        self.options = options;
    }

    /// Sends another codec from now on, and mixes at its rate.
    fn change_codec(&mut self, codec: Codec) {
        self.own = Own::new();
        if codec.rate() == self.rate() {
            return;
        }
        self.speaks_now = false;
        self.limiter = Limiter::new();
        self.resampler_played = None;
        self.resampler_in = resampler(self.codec_in.rate(), codec.rate());
        self.narrow_voice = Narrowed::new();
        self.narrow_spoken = Narrowed::new();
        self.narrow_heard = Narrowed::new();
        self.suppressor.change_rate(codec.rate());
        self.leveller.change_rate(codec.rate());
        self.edges.change_rate();
    }

    /// Follows the far end, which sends another codec of those that it may.
    fn hear_codec(&mut self, codec: Codec) {
        let alike = codec.is_stateless() && self.codec_in.is_stateless();
        self.codec_in = codec;
        if !alike {
            self.jitter = Jitter::new(codec, self.options.bounds);
            self.resampler_in = resampler(codec.rate(), self.rate());
        }
    }

    /// The rate at which the leg is mixed: that of what it is sent.
    pub fn rate(&self) -> Rate {
        self.options.codec.rate()
    }

    /// Goes on in another shard, whose ticks come at other times. Where nobody hears it, what was missed in
    /// between is left out; else play-out is moved back without a step.
    pub fn arrive(&mut self) {
        if self.recorders.is_empty() {
            self.jitter.catch_up();
        }
    }

    pub fn bound_jitter(&mut self, bounds: crate::Bounds) {
        self.options.bounds = bounds;
        self.jitter.set_bounds(bounds);
    }

    /// Fetches this tick's sound and what of it goes to the room.
    pub fn listen(&mut self, now: Instant) {
        self.catch_up();
        self.fetch(now);
        self.spoke = std::mem::replace(&mut self.speaks_now, false);
        if !self.options.codec.is_stateless() {
            self.loudness.observe(&self.sound.voice);
        }
        if self.voice_fade.is_silent() || self.floor.is_silent() {
            return;
        }
        let mut heard = false;
        for (spoken, &sample) in self.sound.spoken.iter_mut().zip(&self.sound.voice) {
            *spoken = i32::from(sample);
            heard |= sample != 0;
        }
        if !self.voice_fade.is_unity() {
            self.voice_fade.apply(&mut self.sound.spoken);
        }
        if !self.floor.is_unity() {
            self.floor.apply(&mut self.sound.spoken);
        }
        self.speaks_now = heard;
    }

    /// Whether the leg speaks, or has just spoken, a codec that is dear to encode for.
    pub fn wants_talk(&self) -> bool {
        !self.options.codec.is_stateless()
            && self.voice_fade.target() > 0.0
            && self.loudness.is_some()
    }

    /// Reads the buffer into [`Self::sound`].
    fn fetch(&mut self, now: Instant) {
        let samples = self.codec_in.rate().samples();
        let concealed = if let Some(resampler) = &mut self.resampler_in {
            let (mut came, mut made) = ([0; SAMPLES_MAX], [0; SAMPLES_MAX]);
            let concealed = self.jitter.read(&mut came[..samples], now);
            let came: [i32; SAMPLES_MAX] = came.map(i32::from);
            let made = &mut made[..self.sound.voice.len()];
            resampler.resample(&came[..samples], made);
            for (voice, &sample) in self.sound.voice.iter_mut().zip(made.iter()) {
                *voice = crate::saturate(sample);
            }
            concealed
        } else {
            let concealed = self.jitter.read(&mut self.sound.voice, now);
            if concealed.is_none() {
                self.sound.voice.fill(0);
            }
            concealed
        };
        self.offset.remove(&mut self.sound.voice);
        self.suppressor.apply(&mut self.sound.voice, self.speaking);
        self.comfort.add(self.options.codec.rate(), &mut self.sound.voice);
        let (level, known) = self.told.judge(&self.sound.voice);
        self.level.observe(level);
        self.known = known;
        self.rest.observe(level == SILENCE && known == Known::Nothing);
        self.leveller.apply(&mut self.sound.voice, self.speaking);
        self.count_concealed(concealed, samples);
    }

    /// Counts what was made up of a tick; nothing was while there has been no sound at all.
    fn count_concealed(&mut self, concealed: Option<usize>, samples: usize) {
        if concealed.unwrap_or(0) > 0 && self.before_gap.is_none() {
            self.before_gap = Some((self.stats.concealed_samples, self.concealed));
        }
        let scale = samples as u64 / Rate::Narrow.samples() as u64;
        self.stats.concealed_samples += concealed.unwrap_or(0) as u64 / scale;
        self.stats.delay_ms = self.jitter.delay_ms();
        if let Some(concealed) = concealed {
            self.concealed.observe(concealed as f32 / samples as f32);
            // The network takes half of the round trip, the phone a packet's time.
            let delay_ms = self.stats.delay_ms
                + self.stats.round_trip_ms.unwrap_or(0.0) / 2.0
                + f32::from(self.options.ptime_ms);
            self.stats.mos = Some(self.concealed.mos(self.codec_in, delay_ms));
        }
    }

    /// Says whether somebody began to speak with this tick's frame, or has stopped.
    pub fn speech(&mut self) -> Option<bool> {
        let changed = self.activity.observe_knowing(self.rate(), &self.sound.voice, self.known);
        self.speaking = changed.unwrap_or(self.speaking);
        changed
    }

    /// Whether somebody speaks.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// Returns how loud the leg is, where all are to hear it.
    pub fn spoken_level(&self) -> Option<Smoothed> {
        self.speaks_now.then_some(self.level)
    }

    /// Returns how loud the leg is, in dB below overload.
    pub fn level(&self) -> u8 {
        self.level.get()
    }

    /// Says who has answered, once that can be said with this tick's frame.
    pub fn answerer(&mut self) -> Option<Answerer> {
        let detector = self.detector.as_mut()?;
        let answerer =
            detector.observe(self.narrow_voice.of(self.options.codec.rate(), &self.sound.voice))?;
        self.detector = None;
        Some(answerer)
    }

    /// Adds to `heard` what the leg hears of its room: `mix` without its own voice.
    pub fn hear_others(&mut self, mix: &[i32], heard: &mut [i32]) {
        if !self.speaks_now {
            self.hear_fade.add(heard, mix);
            return;
        }
        let others = mix.iter().zip(&self.sound.spoken).map(|(&all, &own)| all - own);
        self.hear_fade.add_each(heard, others);
    }

    /// Returns for how long a packet waited for this tick, and how often one comes; nothing where none comes.
    pub fn waits(&self, now: Instant) -> Option<(Duration, Duration)> {
        let sends = now.saturating_duration_since(self.last_packet) < SENDS_WITHIN;
        self.jitter.waits(now).filter(|_| sends)
    }

    /// Whether the far end is due to have sent something; says so once.
    pub fn has_fallen_silent(&mut self, now: Instant) -> bool {
        let silent = self.options.receives
            && now.saturating_duration_since(self.last_packet) >= SILENT_AFTER;
        silent && !std::mem::replace(&mut self.reported_silent, true)
    }

    /// Returns what is done to what it says.
    pub fn cleaning(&self) -> Cleaning {
        let noise_suppression = self.suppressor.is_wanted();
        Cleaning { levelling: self.leveller.is_wanted(), noise_suppression }
    }

    /// Starts the ramps towards `route`, in the room where the leg is.
    pub fn take_route(&mut self, route: Route) {
        let (gain, cleaning) = (route.gain, route.cleaning);
        self.suppressor.want(cleaning.noise_suppression, self.rate());
        self.leveller.want(cleaning.levelling, self.rate());
        self.voice_fade.to(if route.speaks == Speaks::Everyone { gain } else { 0.0 });
        let when = |hears: bool| if hears { route.room_gain } else { 0.0 };
        self.hear_fade.to(when(route.hears == Hears::Everyone));
        self.played_fade.to(when(route.hears == Hears::Played));
        let only: &[LegId] = if let Speaks::Only(legs) = &route.speaks { legs } else { &[] };
        let hears = |leg: &LegId| only.contains(leg) || route.besides.contains(leg);
        for edge in &mut self.edges.all {
            edge.fade.to(if hears(&edge.to) { gain } else { 0.0 });
        }
        for &to in only.iter().chain(&route.besides) {
            if !self.edges.all.iter().any(|edge| edge.to == to) {
                self.edges.all.push(Edge::new(to, gain));
            }
        }
        self.route = route;
    }

    /// Lowers all ramps before the leg goes elsewhere.
    pub fn fade_out(&mut self) {
        self.voice_fade.to(0.0);
        self.hear_fade.to(0.0);
        self.played_fade.to(0.0);
        for edge in &mut self.edges.all {
            edge.fade.to(0.0);
        }
    }

    /// Returns how much of what it is sent the far end says it loses, 0 to 1; nothing where it says nothing.
    pub fn reported_loss(&self) -> Option<f32> {
        self.reports.then_some(self.stats.remote_loss)
    }

    /// Counts a packet that was sent.
    pub fn sent(&mut self, octets: usize) {
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.stats.tx_packets += 1;
        self.sent_octets = self.sent_octets.wrapping_add(octets as u32);
    }

    /// Returns the names of all that is played to it, and of the keys that it is sent.
    pub fn sounds(&self) -> impl Iterator<Item = PlayerId> {
        self.players.iter().map(|player| player.id).chain(self.keys_player)
    }

    pub fn play(&mut self, id: PlayerId, pcm: Pcm, loops: Option<u32>, paused: bool) -> bool {
        if self.players.len() >= PLAYERS_MAX {
            return false;
        }
        self.players.push(Player::new(id, pcm, loops, paused));
        true
    }
}

fn resampler(from: Rate, to: Rate) -> Option<Box<Resampler>> {
    (from != to).then(|| Box::new(Resampler::new(from, to)))
}
