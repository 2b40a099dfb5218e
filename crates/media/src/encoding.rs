//! Who encodes what: one encoder for each distinct mix and codec.
//!
//! A codec that has a memory makes it the far end's too, so a leg that begins to hear a mix of its
//! own takes the memory of the shared encoder along, and one that hears what all hear comes back
//! only when its own encoder has encoded the same for a while and both remember alike. Two encoders of Opus
//! never do, so that both lead over to what stands by itself first, in the same tick.

use crate::codec::{Codec, Encoder, Memory, PAYLOAD_MAX};
use crate::follows::Follows;

/// Ticks of the same sound after which two encoders remember alike: 200 ms.
pub const ALIKE_AFTER: u32 = 10;

/// Ticks for which a leg that hears what all hear waits for a moment in which nobody hears the change: 2 s. In speech
/// one comes with the first pause, in a tone that goes on it may not.
pub const WAIT_MAX: u32 = 100;
/// Ticks of the same sound after which one comes that has just begun to hear, without that wait: a crack so close to
/// its beginning is none that anybody would tell from it.
pub const BEGUN_AFTER: u32 = 3;
/// Ticks in which it may have heard something else before: the ramp from silence.
const BEGINNING: u32 = 2;
/// Ticks from one time to the next at which a shared encoder stands by itself for those who come: what is predicted
/// from what was before takes fewer bits.
const APART_EVERY: u32 = 10;

/// A mix that some hear who are sent one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// What all hear who add nothing themselves.
    All,
    /// What a few do, by its name in the room.
    Few(u32),
}

/// The encoder of what one leg alone hears.
#[derive(Debug)]
pub struct Own {
    encoder: Option<Box<Encoder>>,
    /// Ticks in a row in which all others heard the same.
    alike: u32,
    /// Ticks so far in which it was sent sound that not all were sent.
    apart: u32,
    /// The encoder that all share would have been near enough to its own in the last tick.
    near: bool,
    /// Its next packet leads over to what stands by itself, and its last one did.
    leads: bool,
    led: bool,
    /// The leg is sent the shared encoding in this tick, and was in the last one.
    pub shares: bool,
    pub shared: bool,
    /// Of what: what it was sent last, or is to be sent next.
    pub mix: Mix,
    /// What it is sent that legs of other rooms are sent as well.
    pub follows: Follows,
}

impl Own {
    pub const fn new() -> Self {
        let follows = Follows::new();
        let (near, leads, led) = (false, false, false);
        let (alike, apart, shares, shared) = (0, 0, false, false);
        let mix = Mix::All;
        Self { encoder: None, alike, apart, near, leads, led, shares, shared, mix, follows }
    }

    /// Says whether the leg hears what all hear in this tick; returns whether it may be sent what
    /// all are sent, which is `encoding` where somebody is.
    pub fn may_share(
        &mut self,
        hears_all: bool,
        codec: Codec,
        encoding: Option<&mut Shared>,
    ) -> bool {
        self.shared = std::mem::take(&mut self.shares);
        self.alike = if hears_all { self.alike.saturating_add(1) } else { 0 };
        self.near &= self.alike > ALIKE_AFTER;
        if self.shared {
            self.hears_else();
        }
        let begins = self.apart <= BEGINNING && matches!(codec, Codec::Opus(_));
        let wait = if begins { BEGUN_AFTER } else { ALIKE_AFTER + WAIT_MAX };
        let comes_back = self.near || self.alike > wait;
        let is_alike = self.shared || self.is_new() || comes_back;
        self.shares = hears_all
            && (codec.is_stateless() || is_alike)
            && (self.shared || encoding.is_none_or(|encoding| encoding.admits(self)));
        self.shares
    }

    /// Says that it has heard more than the ramp from silence.
    pub fn hears_else(&mut self) {
        self.apart = u32::MAX;
    }

    /// Whether the far end remembers nothing, or what all hear.
    fn is_new(&self) -> bool {
        self.encoder.is_none() && !self.follows.is_one()
    }

    /// Takes the encoder out.
    pub fn take(&mut self) -> Option<Box<Encoder>> {
        self.encoder.take()
    }

    /// Puts in the encoder that goes on from now.
    pub fn give(&mut self, encoder: Box<Encoder>) {
        self.encoder = Some(encoder);
    }

    /// Whether its last packet led over to what stands by itself.
    pub fn has_led(&self) -> bool {
        self.led
    }

    /// Returns what the far end remembers, where that is little.
    pub fn memory(&self) -> Option<Memory> {
        self.encoder.as_ref()?.memory()
    }

    /// Encodes a tick; `shared` is the encoder from which the leg comes.
    pub fn encode(
        &mut self,
        codec: Codec,
        shared: Option<&Encoder>,
        frame: &[i16],
        loss: Option<f32>,
        payload: &mut [u8; PAYLOAD_MAX],
    ) -> usize {
        let encoder = self.encoder.get_or_insert_with(|| {
            Box::new(shared.cloned().unwrap_or_else(|| Encoder::new(codec)))
        });
        if self.alike == 0 && self.apart <= BEGINNING && frame.iter().any(|&sample| sample != 0) {
            self.apart += 1;
        }
        self.near =
            self.alike >= ALIKE_AFTER && shared.is_none_or(|shared| encoder.is_near(shared, frame));
        if let Some(loss) = loss {
            encoder.expect_loss(percent(loss));
        }
        self.led = std::mem::take(&mut self.leads);
        encoder.encode(frame, payload)
    }

    /// Lets the next packet lead over, where the leg is encoded for alone.
    pub fn lead_over(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            encoder.stand_apart();
            self.leads = true;
        }
    }
}

fn percent(loss: f32) -> u8 {
    (loss * 100.0).clamp(0.0, 100.0) as u8
}

/// An encoding that all share who hear the same.
#[derive(Debug)]
pub struct Shared {
    pub codec: Codec,
    pub encoder: Box<Encoder>,
    payload: Box<[u8; PAYLOAD_MAX]>,
    /// Of this tick, once somebody asked for it.
    length: Option<usize>,
    /// The greatest loss that one reports who was sent it in this tick; none: nobody reports.
    loss: Option<f32>,
    door: Door,
}

/// When those may come whose far ends remember what another encoder made, of a codec that has to stand by itself then.
#[derive(Debug, Default)]
struct Door {
    /// This tick's packet leads over; so far, the ticks after it stand by themselves.
    leads: bool,
    /// This tick's packet stands by itself, and the next one does.
    open: bool,
    stays: bool,
    /// Somebody waits, who will be let in after so many ticks.
    wanted: bool,
    shut: u32,
}

impl Shared {
    pub fn new(codec: Codec, encoder: Box<Encoder>) -> Self {
        let (payload, door) = (Box::new([0; PAYLOAD_MAX]), Door::default());
        Self { codec, encoder, payload, length: None, loss: None, door }
    }

    /// Begins a tick; returns whether somebody was sent the last one.
    pub fn begin(&mut self) -> bool {
        let door = &mut self.door;
        door.open = door.leads || door.stays;
        door.shut = door.shut.saturating_sub(1);
        door.stays = false;
        door.leads = door.wanted && !door.open && door.shut == 0;
        if door.leads {
            self.lead_over();
        }
        self.length.take().is_some()
    }

    fn lead_over(&mut self) {
        self.encoder.stand_apart();
        self.door = Door { leads: true, shut: APART_EVERY, ..Door::default() };
    }

    /// Whether one that is encoded for alone may be sent this tick. If not, it may try again in the next one, and will be
    /// let in before long.
    pub fn admits(&mut self, own: &mut Own) -> bool {
        if !matches!(self.codec, Codec::Opus(_)) {
            return true;
        }
        if own.is_new() {
            return self.admits_new();
        }
        if self.door.open && own.led {
            return true;
        }
        if self.door.leads {
            own.lead_over();
        } else {
            self.door.wanted = true;
        }
        false
    }

    /// Whether one may be sent this tick whose far end remembers nothing: as soon as it stands by itself.
    fn admits_new(&mut self) -> bool {
        if self.is_encoded() {
            self.door.wanted = true;
        } else if self.door.open {
            self.encoder.stand_apart();
            self.door.stays = true;
        } else if !self.door.leads {
            self.lead_over();
        }
        self.door.open || self.door.leads
    }

    /// Whether this tick has been encoded.
    pub fn is_encoded(&self) -> bool {
        self.length.is_some()
    }

    /// Encodes this tick, where it is not yet, and counts that.
    pub fn encode(&mut self, sound: &[i16], count: &mut u64) {
        if self.is_encoded() {
            return;
        }
        *count += 1;
        // Of those who shared the last one.
        if let Some(loss) = self.loss.take() {
            self.encoder.expect_loss(percent(loss));
        }
        self.length = Some(self.encoder.encode(sound, &mut self.payload));
    }

    /// Returns this tick for one who reports this loss.
    pub fn heard_by(&mut self, loss: Option<f32>) -> &[u8] {
        self.loss = match (self.loss, loss) {
            (Some(known), Some(loss)) => Some(known.max(loss)),
            (known, loss) => known.or(loss),
        };
        &self.payload[..self.length.unwrap_or(0)]
    }
}

/// The encodings of a common mix.
#[derive(Debug, Default)]
pub struct Encodings(Vec<Shared>);

impl Encodings {
    /// Begins a tick; what nobody heard in the last one is let go.
    pub fn begin(&mut self) {
        self.0.retain_mut(Shared::begin);
    }

    /// Returns the encoder of a codec as it was before this tick, where it has not encoded it yet.
    pub fn encoder(&self, codec: Codec) -> Option<&Encoder> {
        let shared = self.0.iter().find(|shared| shared.codec == codec)?;
        (!shared.is_encoded()).then_some(&shared.encoder)
    }

    /// Returns the encoding of the common mix in a codec, where there is one.
    pub fn of(&mut self, codec: Codec) -> Option<&mut Shared> {
        self.0.iter_mut().find(|shared| shared.codec == codec)
    }

    /// Lets one in that is to be sent the common mix in a codec and was not. The first brings its own encoder.
    pub fn join(&mut self, codec: Codec, own: &mut Own) {
        let brought = own.take();
        if self.of(codec).is_none() {
            let encoder = brought.unwrap_or_else(|| Box::new(Encoder::new(codec)));
            self.0.push(Shared::new(codec, encoder));
        }
    }

    /// Returns the common mix in a codec, encoded at most once in a tick and then counted; nothing where nobody has
    /// joined.
    pub fn encoded(
        &mut self,
        codec: Codec,
        common: &[i16],
        loss: Option<f32>,
        count: &mut u64,
    ) -> &[u8] {
        let Some(shared) = self.of(codec) else { return &[] };
        shared.encode(common, count);
        shared.heard_by(loss)
    }
}
