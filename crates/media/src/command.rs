//! The whole vocabulary of a shard.

use std::net::{IpAddr, SocketAddr};

use crate::audio_level::AudioLevel;
use crate::codec::Codec;
use crate::ids::{LegId, PlayerId, RoomId, TapId};
use crate::jitter::Bounds;
use crate::machine::{Answerer, Detection};
use crate::player::Pcm;
use crate::recording::{Pause, RecordingId, Source};
use crate::srtp::Protection;

/// What was agreed on with the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegOptions {
    /// The codec that we send, and take under its payload type.
    pub codec: Codec,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// Other codecs that the far end may switch to without asking.
    pub also: Vec<(u8, Codec)>,
    /// The payload type of telephone events, if agreed on.
    pub telephone_event: Option<u8>,
    /// Milliseconds of sound in each packet that we send: 10, 20, 30, 40 or 60; of Opus not 30.
    pub ptime_ms: u8,
    /// Where the far end asked to be sent RTP.
    pub remote: SocketAddr,
    /// The host from which the far end signals; none: it is not known.
    pub signals_from: Option<IpAddr>,
    /// Where the far end asked to be sent RTCP.
    pub remote_rtcp: SocketAddr,
    /// Whether we send; false while the far end has us on hold.
    pub sends: bool,
    /// Whether the far end sends, as far as was agreed on; what it sends all the same is not heard.
    pub receives: bool,
    /// How much delay the jitter buffer may add.
    pub bounds: Bounds,
    /// What protects its packets, both ways; none: nothing does.
    pub protection: Option<Protection>,
    /// How the far end tells beside its sound how loud that is; none: it does not.
    pub audio_level: Option<AudioLevel>,
}

impl LegOptions {
    /// Makes those of a far end that sends and is sent one codec in packets of 20 ms, and nothing else.
    pub fn plain(codec: Codec, payload_type: u8, remote: SocketAddr) -> Self {
        Self {
            codec,
            payload_type,
            also: Vec::new(),
            telephone_event: None,
            ptime_ms: 20,
            remote,
            signals_from: None,
            remote_rtcp: remote,
            sends: true,
            receives: true,
            bounds: Bounds::default(),
            protection: None,
            audio_level: None,
        }
    }

    /// Returns what the far end sends under a payload type.
    pub(crate) fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        if payload_type == self.payload_type {
            return Some(self.codec);
        }
        self.also.iter().find(|(number, _)| *number == payload_type).map(|&(_, codec)| codec)
    }
}

/// To whom a leg's voice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaks {
    /// To nobody.
    Nobody,
    /// To all who hear the room.
    Everyone,
    /// To these alone.
    Only(Vec<LegId>),
}

/// What a leg hears of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Nothing.
    Nothing,
    /// All who speak to everyone, and what is played to all.
    Everyone,
    /// What is played to all, and nobody but those who speak to it alone.
    Played,
}

/// What is done to what a leg says before anybody hears it, and before it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleaning {
    /// A voice is brought towards a common level.
    pub levelling: bool,
    /// Steady noise is taken out.
    pub noise_suppression: bool,
}

/// A leg's place in a mix.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its room; none: it hears only what is played to it.
    pub room: Option<RoomId>,
    /// Who hears it.
    pub speaks: Speaks,
    /// Who hears it besides, by a way of its own, whether or not it hears the room.
    pub besides: Vec<LegId>,
    /// How loud those hear it, linear: 1.0 is unchanged.
    pub gain: f32,
    /// What is done to its sound.
    pub cleaning: Cleaning,
    /// What it hears of the room.
    pub hears: Hears,
    /// By how much the room is turned down for it, linear: 1.0 is unchanged.
    pub room_gain: f32,
}

impl Route {
    /// The place of a leg that is in no room.
    pub const fn nowhere() -> Self {
        Self {
            room: None,
            speaks: Speaks::Nobody,
            besides: Vec::new(),
            gain: 1.0,
            cleaning: Cleaning { levelling: false, noise_suppression: false },
            hears: Hears::Nothing,
            room_gain: 1.0,
        }
    }
}

/// Who hears a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayTo {
    /// One leg.
    Leg(LegId),
    /// All who hear the room.
    Room(RoomId),
}

/// What is asked of a shard. It acts at the next tick.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds a leg; its sound goes nowhere until it is routed.
    AddLeg(LegId, Box<LegOptions>),
    /// Replaces what was agreed on.
    UpdateLeg(LegId, Box<LegOptions>),
    /// Sets how much delay a leg's buffer may add.
    BoundJitter(LegId, Bounds),
    /// Listens whether a person or a machine has answered; [`Event::Answerer`] says so once.
    Detect(LegId, Detection),
    /// Forgets a leg.
    RemoveLeg(LegId),
    /// Lets a leg go to another shard; [`crate::Shard::poll_departed`] has it once its ramps are down.
    Depart(LegId),
    /// Gives a leg its place.
    Route(LegId, Route),
    /// Begins a sound.
    Play {
        /// Its name.
        player: PlayerId,
        /// Who hears it.
        to: PlayTo,
        /// What.
        pcm: Pcm,
        /// How often; none: without end.
        loops: Option<u32>,
        /// Whether it waits for [`Command::Pause`] with `false`.
        paused: bool,
    },
    /// Halts a sound where it is, or lets it go on.
    Pause(PlayerId, bool),
    /// Ends a sound; no [`Event::PlayerEnded`] follows.
    Stop(PlayerId),
    /// Sends keys as telephone events, in-band where none are agreed on. `w` waits half a second,
    /// `W` a second. [`Event::PlayerEnded`] follows the last.
    SendDigits(LegId, PlayerId, String),
    /// Listens to a room without a leg.
    OpenTap(TapId, RoomId),
    /// Ends that.
    CloseTap(TapId),
    /// Begins to record; [`crate::Shard::poll_recorded`] has it tick by tick.
    Record(RecordingId, Source),
    /// Gives a leg the next track of a [`Source::Tracks`], for as long as that lasts.
    Track(RecordingId, LegId),
    /// Halts a recording, or lets it go on.
    PauseRecording(RecordingId, Option<Pause>),
    /// Ends a recording.
    StopRecording(RecordingId),
}

/// What a shard tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A sound was played to its end.
    PlayerEnded(PlayerId),
    /// A key was pressed.
    Digit(LegId, char),
    /// Somebody began to speak, or has stopped.
    Speech(LegId, bool),
    /// Who has answered, where that was to be found out.
    Answerer(LegId, Answerer),
    /// A leg that should be sending has sent nothing for [`crate::SILENT_AFTER`].
    Silent(LegId),
}

/// On which of a leg's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Sound.
    Rtp,
    /// Reports.
    Rtcp,
}

/// One datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// From which leg's socket.
    pub leg: LegId,
    /// From its RTP or its RTCP port.
    pub channel: Channel,
    /// Where to.
    pub to: SocketAddr,
    /// Whether sound comes from there and nowhere else, and has for a while: the socket may be connected to it for
    /// as long as it goes on coming.
    pub settled: bool,
    /// What to send.
    pub octets: &'a [u8],
}

/// Whether one leg hears another, as the mix of the last tick had it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audible {
    /// Who hears.
    pub listener: LegId,
    /// Who is heard.
    pub speaker: LegId,
    /// Linear; 0.0 is not at all.
    pub gain: f32,
    /// Whether the speaker is not mixed because others are louder.
    pub limited: bool,
}

/// How loud a leg is, how well it comes, and what is done to what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Voiced {
    /// Who speaks.
    pub leg: LegId,
    /// In dB below overload, 0 to 127.
    pub level: u8,
    /// What is done to what it says, or begins to be.
    pub cleaning: Cleaning,
    /// As in [`LegStats`].
    pub mos: Option<f32>,
}

/// What became of a leg's packets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LegStats {
    /// RTP packets taken.
    pub rx_packets: u64,
    /// RTP packets sent.
    pub tx_packets: u64,
    /// Datagrams that were no RTP of this leg: junk, another's, an unknown payload type, or what came while the far end
    /// was to send nothing.
    pub rx_dropped: u64,
    /// Datagrams that were not the far end's though they should be protected: in the clear, under another key,
    /// changed on the way, or sent once more. They are among those dropped.
    pub rx_unproven: u64,
    /// Packets whose time had passed.
    pub rx_late: u64,
    /// Samples that were concealed.
    pub concealed_samples: u64,
    /// Fraction of our packets that the far end says it lost, 0 to 1.
    pub remote_loss: f32,
    /// Interarrival jitter after RFC 3550, in milliseconds.
    pub jitter_ms: f32,
    /// Packets that never came.
    pub rx_lost: u64,
    /// Round trip by RTCP, in milliseconds.
    pub round_trip_ms: Option<f32>,
    /// Delay that the jitter buffer adds, in milliseconds.
    pub delay_ms: f32,
    /// The mean opinion score of what comes, 1 to 4.5; none before anything has come.
    pub mos: Option<f32>,
}

impl LegStats {
    /// Adds what is counted of another leg; what is measured stays.
    pub(crate) fn add(&mut self, leg: &Self) {
        self.rx_packets += leg.rx_packets;
        self.tx_packets += leg.tx_packets;
        self.rx_dropped += leg.rx_dropped;
        self.rx_unproven += leg.rx_unproven;
        self.rx_late += leg.rx_late;
        self.rx_lost += leg.rx_lost;
        self.concealed_samples += leg.concealed_samples;
    }
}

/// Upper bounds by which legs are counted after their jitter, in milliseconds; the last is open.
pub const JITTER_BOUNDS_MS: [f32; 5] = [5.0, 10.0, 20.0, 40.0, 80.0];
/// Upper bounds by which legs are counted after the loss that the far end reports, 0 to 1; the last
/// is open.
pub const LOSS_BOUNDS: [f32; 5] = [0.001, 0.01, 0.03, 0.05, 0.1];
/// Upper bounds by which legs are counted after their mean opinion score; the last is open.
pub const MOS_BOUNDS: [f32; 5] = [2.0, 3.0, 3.5, 4.0, 4.3];

/// How many legs fare how well just now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveStats {
    /// Legs by [`JITTER_BOUNDS_MS`].
    pub jitter: [u64; JITTER_BOUNDS_MS.len() + 1],
    /// Legs by [`LOSS_BOUNDS`].
    pub loss: [u64; LOSS_BOUNDS.len() + 1],
    /// Legs by [`MOS_BOUNDS`], of those from which something has come.
    pub mos: [u64; MOS_BOUNDS.len() + 1],
    /// The longest round trip by RTCP, in milliseconds.
    pub round_trip_ms_worst: f32,
}

impl LiveStats {
    /// Counts one leg.
    pub(crate) fn count(&mut self, leg: &LegStats) {
        self.jitter[JITTER_BOUNDS_MS.partition_point(|bound| *bound < leg.jitter_ms)] += 1;
        self.loss[LOSS_BOUNDS.partition_point(|bound| *bound < leg.remote_loss)] += 1;
        if let Some(mos) = leg.mos {
            self.mos[MOS_BOUNDS.partition_point(|bound| *bound < mos)] += 1;
        }
        let round_trip_ms = leg.round_trip_ms.unwrap_or(0.0);
        self.round_trip_ms_worst = self.round_trip_ms_worst.max(round_trip_ms);
    }

    fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], others: &[u64]| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        };
        add(&mut self.jitter, &other.jitter);
        add(&mut self.loss, &other.loss);
        add(&mut self.mos, &other.mos);
        self.round_trip_ms_worst = self.round_trip_ms_worst.max(other.round_trip_ms_worst);
    }
}

/// Sums over a shard, or over several.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShardStats {
    /// Legs now.
    pub legs: usize,
    /// Rooms now.
    pub rooms: usize,
    /// Sums over the legs of now and of the past.
    pub total: LegStats,
    /// How the legs of now fare.
    pub live: LiveStats,
    /// Encodings made; with sharing this is less than the frames sent.
    pub encoded: u64,
    /// Voices that were not mixed in a tick, as more spoke than are encoded for.
    pub unmixed: u64,
}

impl std::iter::Sum for ShardStats {
    fn sum<I: Iterator<Item = Self>>(shards: I) -> Self {
        shards.fold(Self::default(), |mut sum, shard| {
            sum.legs += shard.legs;
            sum.rooms += shard.rooms;
            sum.total.add(&shard.total);
            sum.live.add(&shard.live);
            sum.encoded += shard.encoded;
            sum.unmixed += shard.unmixed;
            sum
        })
    }
}
