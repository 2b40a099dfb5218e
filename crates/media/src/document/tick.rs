//! What a leg is to hear in a tick, and what that changes of it.

use crate::codec::Codec;
use crate::encoding::Own;
use crate::limiter::Limiter;
use crate::player::Pcm;
use crate::resample::Resampler;

/// One tick of a document, for one leg.
#[derive(Debug, Clone, Copy)]
pub struct Tick<'a> {
    pub codec: Codec,
    /// The loss that it is encoded for, in percent.
    pub loss: u8,
    pub pcm: &'a Pcm,
    /// Where in the document it begins, which is as long as a tick or longer.
    pub at: usize,
}

/// What of a leg changes when it comes and goes.
#[derive(Debug)]
pub struct Listener<'a> {
    pub own: &'a mut Own,
    pub limiter: &'a mut Limiter,
    pub resampler: &'a mut Option<Box<Resampler>>,
}
