//! Speech within Opus: a library's linear prediction, and what goes on where a frame is lost.
//!
//! What the library makes up has no pitch; that part is added to it. Source: RFC 6716 section 4.2, and for loss the
//! reference that comes with it (4.4).

use ropus::celt::range_coder::RangeDecoder;
use ropus::silk::common::{CODE_INDEPENDENTLY, FLAG_DECODE_LBRR, FLAG_PACKET_LOST, TYPE_VOICED};
use ropus::silk::decoder::{
    SilkDecControl, SilkDecoder, SilkDecoderState, silk_decode, silk_decode_frame, silk_resampler,
};

use super::super::UNIT;
use super::coding::Coding;
use crate::rate::Rate;
use crate::{rounded, saturate};

/// Samples of 20 ms at the highest rate within, and those that are kept of the frame before.
const FRAME_MAX: usize = 320;
const KEPT: usize = 2;
/// Subframes of 20 ms, and how many coefficients one has at most.
const SUBFRAMES: usize = 4;
const ORDER_MAX: usize = 16;
/// What is left of each coefficient, more with every one, of a filter that goes on alone.
const NARROWER: f32 = 0.99;
/// What is left of the pitch after each subframe: in the first lost frame, and in those after it.
const FADES: [f32; 2] = [0.99, 0.95];
/// How much longer a period becomes in each.
const DRIFT: f32 = 0.01;
/// The longest period in ms.
const PERIOD_MAX_MS: i32 = 18;
/// How steeply sound comes back after a loss: within a quarter of a frame.
const STEEP: f32 = 4.0;

pub struct Speech {
    library: SilkDecoder,
    control: SilkDecControl,
    /// The power of the lost frame before.
    lost: Option<f32>,
}

impl Speech {
    pub fn new() -> Self {
        let mut library = SilkDecoder::new();
        library.init();
        let control = SilkDecControl {
            n_channels_api: 1,
            n_channels_internal: 1,
            api_sample_rate: Rate::Full.hertz() as i32,
            internal_sample_rate: 0,
            payload_size_ms: 0,
            prev_pitch_lag: 0,
            enable_deep_plc: false,
        };
        Self { library, control, lost: None }
    }

    /// Forgets what was said.
    pub fn reset(&mut self) {
        self.library.init();
        self.lost = None;
    }

    /// Decodes a frame, or what it repeats of the one before it.
    pub fn decode(
        &mut self,
        range: &mut RangeDecoder<'_>,
        coding: Coding,
        repetition: bool,
        out: &mut [i16],
    ) -> Option<()> {
        self.control.n_channels_internal = coding.channels as usize;
        self.control.internal_sample_rate = coding.hertz;
        self.control.payload_size_ms = (coding.frame / (8 * UNIT / 20)) as i32;
        let flag = if repetition { FLAG_DECODE_LBRR } else { 0 };
        let mut done = 0;
        while done < out.len() {
            // The library's own way back from a loss knows only what it made up itself.
            self.library.channel_state[0].s_plc.last_frame_lost = 0;
            let (library, control) = (&mut self.library, &mut self.control);
            let (rest, mut made) = (&mut out[done..], 0);
            let error =
                silk_decode(library, control, flag, done == 0, range, rest, &mut made, None);
            if error != 0 || made == 0 || made > rest.len() {
                return None;
            }
            self.come_back(&mut rest[..made]);
            done += made;
        }
        Some(())
    }

    /// Lets what follows a loss not be louder at once.
    fn come_back(&mut self, sound: &mut [i16]) {
        let Some(lost) = self.lost.take() else { return };
        let new = power(sound);
        if new <= lost {
            return;
        }
        let gain = (lost / new).sqrt();
        let step = (1.0 - gain) * STEEP / sound.len() as f32;
        for (index, sample) in sound.iter_mut().enumerate() {
            let gain = (gain + step * index as f32).min(1.0);
            *sample = rounded(f32::from(*sample) * gain) as i16;
        }
    }

    /// Makes up at most 20 ms.
    pub fn conceal(&mut self, out: &mut [i16]) -> Option<()> {
        let state = &mut self.library.channel_state[0];
        if state.fs_khz == 0 {
            out.fill(0);
            return Some(());
        }
        // There are halves, and no less.
        state.nb_subfr = if out.len() > 4 * UNIT { SUBFRAMES } else { SUBFRAMES / 2 };
        state.frame_length = state.nb_subfr * state.subfr_length;
        let length = state.frame_length;
        let mut sound = [0; FRAME_MAX + KEPT];
        let sound = sound.get_mut(..length + KEPT)?;
        let mut voiced = [0.0; FRAME_MAX];
        let voiced = &mut voiced[..length];
        let first = state.loss_cnt == 0;
        let goes_on = state.prev_signal_type == TYPE_VOICED && pitch(state, first, voiced);
        let mut nothing = RangeDecoder::new(&[]);
        let mut made = 0;
        let (flag, coding) = (FLAG_PACKET_LOST, CODE_INDEPENDENTLY);
        silk_decode_frame(state, &mut nothing, &mut sound[KEPT..], &mut made, flag, coding, None);
        if goes_on {
            remember(state, voiced);
            for (sample, voiced) in sound[KEPT..].iter_mut().zip(&*voiced) {
                *sample = plus(*sample, *voiced);
            }
        }
        let middle = &mut self.library.s_stereo.s_mid;
        let (kept, new) = sound.split_at_mut(KEPT);
        kept.copy_from_slice(middle);
        middle.copy_from_slice(&new[length - KEPT..]);
        let mut whole = [0; 8 * UNIT];
        let whole = &mut whole[..state.nb_subfr * 2 * UNIT];
        silk_resampler(&mut state.resampler_state, whole, &sound[1..=length], length);
        out.copy_from_slice(whole.get(..out.len())?);
        for channel in &mut self.library.channel_state {
            channel.last_gain_index = 10;
        }
        self.lost = Some(power(out).max(1.0));
        Some(())
    }
}

/// Lets the last period of a voice go on through the next frame; returns whether there is one.
fn pitch(state: &SilkDecoderState, first: bool, voiced: &mut [f32]) -> bool {
    let order = state.lpc_order.min(ORDER_MAX);
    let mut filter = [0.0; ORDER_MAX];
    let mut left = 1.0 / 4_096.0;
    for (tap, &coefficient) in filter[..order].iter_mut().zip(&state.s_plc.prev_lpc_q12) {
        left *= NARROWER;
        *tap = f32::from(coefficient) * left;
    }
    let past = &state.out_buf[..state.ltp_mem_length.min(state.out_buf.len())];
    let mut period = state.s_plc.pitch_l_q8 as f32 / 256.0;
    let longest = (PERIOD_MAX_MS * state.fs_khz) as f32;
    let lag = rounded(period).max(1) as usize;
    if past.len() < lag + order || state.s_plc.ltp_coef_q14[2] <= 0 {
        return false;
    }
    // What is left of the last period once the filter knows what comes.
    let mut excitation = [0.0; 2 * FRAME_MAX];
    let begin = past.len() - lag;
    for (index, left) in excitation[..lag].iter_mut().enumerate() {
        let at = begin + index;
        let known: f32 = (0..order).map(|tap| filter[tap] * f32::from(past[at - 1 - tap])).sum();
        *left = f32::from(past[at]) - known;
    }
    let mut gain = f32::from(state.s_plc.ltp_coef_q14[2]) / 16_384.0;
    let mut history = [0.0; ORDER_MAX + FRAME_MAX];
    for (number, part) in voiced.chunks_mut(state.subfr_length.max(1)).enumerate() {
        let behind = rounded(period).max(1) as usize;
        for (index, out) in part.iter_mut().enumerate() {
            let at = number * state.subfr_length + index;
            let pulse = (lag + at).checked_sub(behind).map_or(0.0, |from| gain * excitation[from]);
            excitation[lag + at] = pulse;
            let known: f32 =
                (0..order).map(|tap| filter[tap] * history[ORDER_MAX + at - 1 - tap]).sum();
            history[ORDER_MAX + at] = pulse + known;
            *out = pulse + known;
        }
        gain *= FADES[usize::from(!first)];
        period = (period * (1.0 + DRIFT)).min(longest);
    }
    true
}

/// Takes what was added along: the next frame goes on from it.
fn remember(state: &mut SilkDecoderState, voiced: &[f32]) {
    let end = state.ltp_mem_length.min(state.out_buf.len());
    let start = end.saturating_sub(voiced.len());
    for (sample, &voiced) in state.out_buf[start..end].iter_mut().zip(voiced) {
        *sample = plus(*sample, voiced);
    }
    let gain = state.s_plc.prev_gain_q16[1].max(1) as f32 / 65_536.0;
    let last = &voiced[voiced.len().saturating_sub(ORDER_MAX)..];
    for (sample, &voiced) in state.s_lpc_q14_buf.iter_mut().zip(last) {
        *sample = sample.saturating_add((voiced / gain * 16_384.0) as i32);
    }
    let first = state.loss_cnt <= 1;
    let fade = FADES[usize::from(!first)].powi(state.nb_subfr as i32);
    for tap in &mut state.s_plc.ltp_coef_q14 {
        *tap = (f32::from(*tap) * fade) as i16;
    }
}

fn plus(sample: i16, more: f32) -> i16 {
    saturate(i32::from(sample).saturating_add(rounded(more)))
}

fn power(sound: &[i16]) -> f32 {
    let sum: f32 = sound.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
    sum / sound.len().max(1) as f32
}
