//! What becomes of a leg's packets on their way to the server: they are lost, come late, and are sent by a clock that
//! is not the server's. All of it is drawn from a seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Most packets that are lost, in percent: of a listener's sound the greater part must be left to be judged.
pub const LOSS_MAX: f64 = 40.0;
/// Most packets that are lost in a row, on average.
pub const BURST_MAX: u32 = 50;
/// Longest delay that is drawn.
pub const JITTER_MAX: Duration = Duration::from_millis(200);
/// Most by which a clock is off, in millionths.
pub const DRIFT_MAX: u32 = 1_000;

/// From one packet of a phone to its next.
const PACKET: Duration = Duration::from_millis(20);

/// What the network does to every leg.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Packets that are lost, in percent.
    pub loss: f64,
    /// How many are lost in a row, on average: 1 is each by itself.
    pub burst: u32,
    /// Each packet is late by up to this, evenly; they may overtake each other.
    pub jitter: Duration,
    /// By how many millionths the clock of every second leg is fast, and that of the others slow.
    pub drift: u32,
    /// From what all of it is drawn.
    pub seed: u64,
}

impl Default for Network {
    /// Makes one that carries everything at once.
    fn default() -> Self {
        Self { loss: 0.0, burst: 1, jitter: Duration::ZERO, drift: 0, seed: 1 }
    }
}

impl Network {
    /// Whether it carries everything at once.
    pub fn is_perfect(&self) -> bool {
        self.loss == 0.0 && self.jitter.is_zero() && self.drift == 0
    }

    /// Says what is wrong with it.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=LOSS_MAX).contains(&self.loss) {
            return Err(format!("--loss {} is not 0 to {LOSS_MAX} percent", self.loss));
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return Err(format!("--burst {} is not 1 to {BURST_MAX} packets", self.burst));
        }
        if self.jitter > JITTER_MAX {
            let (jitter, most) = (self.jitter.as_millis(), JITTER_MAX.as_millis());
            return Err(format!("--jitter {jitter} is not 0 to {most} ms"));
        }
        if self.drift > DRIFT_MAX {
            return Err(format!("--drift {} is not 0 to {DRIFT_MAX} ppm", self.drift));
        }
        Ok(())
    }
}

/// Which packets of a way are lost: Gilbert's chain of two states.
#[derive(Debug, Clone)]
struct Losses {
    /// The chance that a packet is lost after one that was not, and after one that was.
    after: [f64; 2],
    loses: bool,
}

impl Losses {
    /// Makes those of a network: as many are lost as asked for, whatever their order.
    fn new(network: &Network) -> Self {
        let (loss, again) = (network.loss / 100.0, 1.0 - 1.0 / f64::from(network.burst));
        let after_sent = loss * (1.0 - again) / (1.0 - loss);
        let after = if network.burst == 1 { [loss; 2] } else { [after_sent, again] };
        Self { after, loses: false }
    }

    fn draw(&mut self, random: &mut ChaCha8Rng) -> bool {
        let chance = f64::from(random.next_u32()) / f64::from(u32::MAX);
        self.loses = chance < self.after[usize::from(self.loses)];
        self.loses
    }
}

/// The way back, of which only the leg's reports tell: what is judged is what the server sent.
#[derive(Debug)]
pub struct WayBack {
    random: ChaCha8Rng,
    losses: Losses,
}

impl WayBack {
    /// Makes that of a leg; nothing through a network that loses nothing.
    pub fn new(network: &Network, leg: usize) -> Option<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(!network.seed);
        random.set_stream(leg as u64);
        (network.loss > 0.0).then(|| Self { random, losses: Losses::new(network) })
    }

    /// Says whether the next packet is lost.
    pub fn loses(&mut self) -> bool {
        self.losses.draw(&mut self.random)
    }
}

/// The way of one leg's packets.
#[derive(Debug)]
pub struct Way {
    random: ChaCha8Rng,
    losses: Losses,
    jitter_ns: u64,
    /// How much later than its round the leg speaks, and by how much that grows each round.
    phase_ns: i64,
    drift_ns: i64,
}

impl Way {
    /// Makes that of a leg; nothing through a network that carries everything at once.
    pub fn new(network: &Network, leg: usize) -> Option<Self> {
        if network.is_perfect() {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(network.seed);
        random.set_stream(leg as u64);
        let way = PACKET.as_nanos() as i64;
        let drift_ns = way * i64::from(network.drift) / 1_000_000;
        Some(Self {
            losses: Losses::new(network),
            jitter_ns: network.jitter.as_nanos() as u64,
            phase_ns: if drift_ns == 0 { 0 } else { (random.next_u32() as i64) % way },
            drift_ns: if leg.is_multiple_of(2) { -drift_ns } else { drift_ns },
            random,
        })
    }

    /// Hands out the packets of a round, of which there may be none or two: after how long each arrives, and nothing
    /// for one that is lost.
    pub fn round(&mut self, mut packet: impl FnMut(Option<Duration>)) {
        let whole = PACKET.as_nanos() as i64;
        self.phase_ns += self.drift_ns;
        if self.phase_ns >= whole {
            self.phase_ns -= whole;
            return;
        }
        if self.phase_ns < 0 {
            packet(self.draw(0));
            self.phase_ns += whole;
        }
        packet(self.draw(self.phase_ns.unsigned_abs()));
    }

    fn draw(&mut self, phase_ns: u64) -> Option<Duration> {
        let is_lost = self.losses.draw(&mut self.random);
        let late_ns = self.random.next_u64() % (self.jitter_ns + 1);
        (!is_lost).then(|| Duration::from_nanos(phase_ns + late_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns which of so many packets are lost, and how late the others are.
    fn drawn(network: &Network, leg: usize, rounds: usize) -> Vec<Option<Duration>> {
        let mut way = Way::new(network, leg).unwrap();
        let mut packets = Vec::new();
        (0..rounds).for_each(|_| way.round(|packet| packets.push(packet)));
        packets
    }

    #[test]
    fn as_many_are_lost_as_asked_for_and_in_bursts_of_that_length() {
        for burst in [1, 4, 10] {
            let network = Network { loss: 10.0, burst, ..Network::default() };
            let lost: Vec<bool> = drawn(&network, 3, 100_000).iter().map(Option::is_none).collect();
            let count = lost.iter().filter(|&&lost| lost).count();
            assert!((9_000..11_000).contains(&count), "{burst}: {count}");
            let bursts = lost.windows(2).filter(|two| !two[0] && two[1]).count();
            let length = count as f64 / bursts as f64;
            let expected = f64::from(burst).max(1.0 / 0.9);
            assert!((length / expected - 1.0).abs() < 0.15, "{burst}: {length}");
        }
    }

    #[test]
    fn packets_are_late_by_no_more_than_the_jitter_and_the_seed_says_by_how_much() {
        let jitter = Duration::from_millis(30);
        let network = Network { jitter, ..Network::default() };
        let late = drawn(&network, 0, 1_000);
        let late: Vec<Duration> = late.into_iter().map(Option::unwrap).collect();
        let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
        assert!(*least < jitter / 20 && *most <= jitter && *most > jitter * 19 / 20);
        assert_eq!(drawn(&network, 0, 10), drawn(&network, 0, 10));
        assert_ne!(drawn(&network, 0, 10), drawn(&network, 1, 10));
        assert_ne!(drawn(&network, 0, 10), drawn(&Network { seed: 2, ..network }, 0, 10));
    }

    #[test]
    fn a_clock_that_is_off_sends_more_or_fewer_packets_evenly_spaced() {
        let network = Network { drift: 200, ..Network::default() };
        for (leg, expected) in [(0, 100_020_usize), (1, 99_980)] {
            let mut way = Way::new(&network, leg).unwrap();
            let mut sent = Vec::new();
            for round in 0..100_000_u32 {
                way.round(|packet| sent.push(PACKET * round + packet.unwrap()));
            }
            assert!(sent.len().abs_diff(expected) <= 1, "{leg}: {}", sent.len());
            for two in sent.windows(2) {
                let apart = two[1] - two[0];
                assert!(apart.abs_diff(PACKET) <= Duration::from_micros(9), "{leg}: {apart:?}");
            }
        }
    }

    #[test]
    fn a_network_that_cannot_be_is_refused() {
        let check = |network: Network, flag: &str| {
            assert!(network.check().is_err_and(|told| told.starts_with(flag)), "{network:?}");
        };
        let perfect = Network::default();
        assert_eq!(perfect.check(), Ok(()));
        assert!(Way::new(&perfect, 0).is_none());
        check(Network { loss: 41.0, ..perfect.clone() }, "--loss");
        check(Network { loss: f64::NAN, ..perfect.clone() }, "--loss");
        check(Network { burst: 0, ..perfect.clone() }, "--burst");
        check(Network { jitter: JITTER_MAX * 2, ..perfect.clone() }, "--jitter");
        check(Network { drift: 1_001, ..perfect }, "--drift");
    }
}
