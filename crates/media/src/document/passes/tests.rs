use super::*;
use crate::codec::OpusOptions;
use crate::encoding::Own;
use crate::limiter::Limiter;

const OPUS: Codec = Codec::Opus(OpusOptions {
    bitrate: 0,
    fec: false,
    dtx: false,
    playback_rate: 48_000,
    halves: false,
});

/// One who hears a document, at first by an encoder of its own.
struct One {
    codec: Codec,
    pcm: Pcm,
    at: usize,
    own: Own,
    limiter: Limiter,
    resampler: Option<Box<Resampler>>,
}

impl One {
    fn new(codec: Codec, pcm: &Pcm) -> Self {
        let (limiter, resampler) = (Limiter::new(), None);
        Self { codec, pcm: pcm.clone(), at: 0, own: Own::new(), limiter, resampler }
    }

    /// Hears a tick; returns what it is sent.
    fn tick(&mut self, passes: &mut Passes, count: &mut u64) -> Vec<u8> {
        let tick = Tick { codec: self.codec, loss: 0, pcm: &self.pcm, at: self.at };
        let Self { own, limiter, resampler, .. } = self;
        let payload = passes.payload(tick, Listener { own, limiter, resampler }, count);
        let payload = payload.map(<[u8]>::to_vec);
        let payload = payload.unwrap_or_else(|| self.alone());
        self.at = (self.at + SAMPLES) % self.pcm.len();
        payload
    }

    /// Encodes a tick for itself.
    fn alone(&mut self) -> Vec<u8> {
        let rate = self.codec.rate();
        let tick = Tick { codec: self.codec, loss: 0, pcm: &self.pcm, at: self.at };
        let Self { own, limiter, resampler, .. } = self;
        let mut heard = Listener { own, limiter, resampler }.heard(&tick);
        let mut frame = vec![0; rate.samples()];
        heard.next(&self.pcm, self.at, rate, &mut frame);
        self.limiter = heard.limiter;
        self.resampler = Some(Box::new(heard.resampler));
        let mut payload = [0; PAYLOAD_MAX];
        let length = self.own.encode(self.codec, None, &frame, None, &mut payload);
        payload[..length].to_vec()
    }

    fn leave(&mut self, passes: &mut Passes) {
        let Self { own, limiter, resampler, .. } = self;
        passes.release(&mut Listener { own, limiter, resampler }, self.codec);
    }

    fn follows(&self) -> bool {
        self.own.follows.is_one()
    }
}

fn noise(length: usize) -> Pcm {
    let mut random = 7_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 19) as i16 - 4_096
    };
    (0..length).map(|_| next()).collect()
}

/// Checks what is counted.
fn check(passes: &Passes) {
    let all = || passes.all.iter().flatten();
    let segments = || all().flat_map(|pass| pass.segments.iter().flatten());
    assert_eq!(passes.octets, all().map(|pass| pass.octets).sum::<usize>());
    assert_eq!(passes.encoders, segments().filter(|segment| segment.front.is_some()).count());
    assert!(passes.encoders <= ENCODERS_MAX && passes.all.len() <= PASSES_MAX);
}

#[test]
fn a_pass_has_as_many_ticks_as_it_takes_to_its_end() {
    for codec in [Codec::G722, OPUS] {
        for length in [160, 161, 333, 1_599, 1_600, 4_007, 8_000, 8_160, 15_999, 48_000, 48_003] {
            let pcm = noise(length);
            let mut at = 0;
            for _ in 0..170 {
                let tick = Tick { codec, loss: 0, pcm: &pcm, at };
                let start = Start::of(&tick).unwrap();
                assert_eq!(start, Start { offset: at, segment: 0 });
                let pass = Pass::new(&tick, at, 1);
                for segment in 0..pass.segments.len() {
                    let length = pass.ticks_of(segment);
                    assert!((ticks(codec) - 1..=2 * ticks(codec)).contains(&length), "{length}");
                    let here = Tick { at: pass.at(segment, 0), ..tick };
                    // Within a short one that is heard several times no segment begins.
                    assert_eq!(Start::of(&here), Some(Start { offset: at, segment }));
                    let inner = (1..length).filter(|&inner| {
                        Start::of(&Tick { at: pass.at(segment, inner), ..tick }).is_some()
                    });
                    assert!(pcm.len() < ticks(codec) * SAMPLES || inner.count() == 0);
                }
                let last = pass.segments.len() - 1;
                at = pass.at(last, pass.ticks_of(last));
                assert!(at < SAMPLES, "{codec:?}, {length}: {at}");
            }
        }
    }
}

#[test]
fn who_leaves_g722_anywhere_goes_on_as_if_it_had_been_encoded_for_alone() {
    for length in [1_600, 4_007, 16_000] {
        let (mut passes, pcm) = (Passes::default(), noise(length));
        let (mut stays, mut goes) = (One::new(Codec::G722, &pcm), One::new(Codec::G722, &pcm));
        // Where the next segment begins it has the memory of whoever encoded that.
        let (mut left, mut is_alike, mut alike) = (0, false, 0);
        for number in 0..900 {
            let tick = Tick { codec: Codec::G722, loss: 0, pcm: &pcm, at: goes.at };
            if number % 37 == 36 && goes.follows() {
                let pass = |leg: &One| leg.own.follows.place.map(|place| place.number);
                (left, is_alike) = (left + 1, pass(&stays) == pass(&goes));
                alike += usize::from(is_alike);
                goes.leave(&mut passes);
            }
            is_alike &= Start::of(&tick).is_none();
            let [one, other] = [&mut stays, &mut goes].map(|leg| leg.tick(&mut passes, &mut 0));
            // Those who follow may do so in different passes.
            if is_alike {
                assert!(one == other, "{length}, tick {number}");
            }
            passes.finish();
            check(&passes);
        }
        assert!(left > 3 && alike > 0 && stays.follows(), "{length}: {alike} of {left}");
    }
}

#[test]
fn each_segment_of_opus_begins_with_what_stands_by_itself() {
    let (mut passes, pcm) = (Passes::default(), noise(20_000));
    let mut one = One::new(OPUS, &pcm);
    let mut begun = 0;
    for _ in 0..400 {
        let begins = Start::of(&Tick { codec: OPUS, loss: 0, pcm: &pcm, at: one.at }).is_some();
        let payload = one.tick(&mut passes, &mut 0);
        if begins && one.follows() {
            // No linear prediction. Source: RFC 6716 section 3.1.
            assert!(payload[0] & 0x80 != 0);
            begun += 1;
        }
        passes.finish();
    }
    assert!(begun > 5);
}

#[test]
fn who_comes_in_whatever_tick_is_let_in_within_two_segments_and_costs_nothing_from_then_on() {
    let (mut passes, pcm) = (Passes::default(), noise(16_000));
    let mut all: Vec<One> = Vec::new();
    let mut count = 0;
    for number in 0..400 {
        if number % 7 == 0 && all.len() < 20 {
            all.push(One::new(OPUS, &pcm));
        }
        let before = count;
        for one in &mut all {
            one.tick(&mut passes, &mut count);
        }
        assert!(count - before <= 1, "tick {number}");
        passes.finish();
        check(&passes);
    }
    assert!(all.iter().all(One::follows));
    assert_eq!(passes.encoders, 0, "all of it is there");
}

#[test]
fn what_nobody_hears_any_more_is_gone_after_its_time() {
    for codec in [Codec::G722, OPUS] {
        let (mut passes, pcm) = (Passes::default(), noise(8_007));
        let mut one = One::new(codec, &pcm);
        for _ in 0..260 {
            one.tick(&mut passes, &mut 0);
            passes.finish();
        }
        assert!(passes.all.iter().flatten().count() > 2, "each time it begins elsewhere in a tick");
        one.leave(&mut passes);
        assert_eq!(Arc::strong_count(&pcm), 2 + passes.all.iter().flatten().count());
        for _ in 0..2 * KEPT_TICKS {
            passes.finish();
            check(&passes);
        }
        assert_eq!((passes.octets, passes.encoders, Arc::strong_count(&pcm)), (0, 0, 2));
    }
}

#[test]
fn there_are_no_more_encoders_than_there_may_be_and_whoever_finds_none_is_encoded_for_alone() {
    let mut passes = Passes::default();
    let pcm = noise(160 * 40);
    let mut all: Vec<One> =
        (0..=ENCODERS_MAX).map(|_| One::new(Codec::G722, &pcm.to_vec().into())).collect();
    for _ in 0..30 {
        all.iter_mut().for_each(|one| drop(one.tick(&mut passes, &mut 0)));
        passes.finish();
        check(&passes);
    }
    assert_eq!(passes.encoders, ENCODERS_MAX);
    let (last, first) = all.split_last_mut().unwrap();
    assert!(first.iter().all(One::follows) && !last.follows() && last.own.memory().is_some());
    // One goes, and soon nobody hears what it heard.
    first[0].leave(&mut passes);
    for _ in 0..30 {
        first[1..].iter_mut().for_each(|one| drop(one.tick(&mut passes, &mut 0)));
        last.tick(&mut passes, &mut 0);
        passes.finish();
        check(&passes);
    }
    assert!(last.follows());
}

#[test]
fn where_there_is_no_room_what_nobody_hears_is_let_go_and_else_each_is_encoded_for_alone() {
    let mut passes = Passes::default();
    let [mut one, mut other] = [8_000, 4_800].map(|length| One::new(OPUS, &noise(length)));
    for _ in 0..120 {
        one.tick(&mut passes, &mut 0);
        passes.finish();
    }
    assert!(one.follows());
    // As if there were much more.
    let more = OCTETS_MAX - passes.octets;
    passes.octets += more;
    for _ in 0..120 {
        one.tick(&mut passes, &mut 0);
        other.tick(&mut passes, &mut 0);
        passes.finish();
        assert!(one.follows() && !other.follows());
    }
    for _ in 0..120 {
        other.tick(&mut passes, &mut 0);
        passes.finish();
    }
    assert!(other.follows(), "the first is gone");
    passes.octets -= more;
    check(&passes);
    one.tick(&mut passes, &mut 0);
    assert!(
        !one.follows() && one.own.encode(OPUS, None, &[0; 960], None, &mut [0; PAYLOAD_MAX]) > 0
    );
}
