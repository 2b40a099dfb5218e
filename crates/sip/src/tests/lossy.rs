//! Two agents over a network that loses, doubles, delays and swaps what it carries.

use std::collections::BTreeSet;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

const SEEDS: u64 = 300;

/// Two agents, what is on its way between them, and whatever calls they told of.
struct Pair {
    agents: [Agent; 2],
    calls: [BTreeSet<CallId>; 2],
    air: Vec<(Instant, usize, Vec<u8>)>,
    now: Instant,
    random: ChaCha12Rng,
    /// One message of so many is lost; none where it is 0.
    loss: u32,
    /// How many calls were answered, and how many ended by word of the far end or for want of it.
    answered: u32,
    ended: [u32; 2],
}

impl Pair {
    fn new(seed: u64, loss: u32) -> Self {
        let random = ChaCha12Rng::seed_from_u64(seed);
        let agents = [1, 2]
            .map(|port| Agent::new(Config::open(at(port), [seed as u8 ^ (port as u8) << 6; 32])));
        let calls = Default::default();
        let (air, now) = (Vec::new(), Instant::now());
        Self { agents, calls, air, now, random, loss, answered: 0, ended: [0; 2] }
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.random.next_u32() % below
    }

    /// Puts what the agents say on its way, and notes what they tell.
    fn settle(&mut self) {
        for side in [0, 1] {
            while let Some(transmit) = self.agents[side].poll_transmit() {
                assert!(!transmit.octets.is_empty());
                let copies = if self.draw(8) == 0 { 2 } else { 1 };
                for _ in 0..copies {
                    if self.loss > 0 && self.draw(self.loss) == 0 {
                        continue;
                    }
                    let late = Duration::from_millis(self.draw(900).into());
                    self.air.push((self.now + late, 1 - side, transmit.octets.clone()));
                }
            }
            while let Some(event) = self.agents[side].poll_event() {
                match event {
                    Event::Answered(..) => self.answered += 1,
                    Event::Ended(_, Ended::HungUp) => self.ended[0] += 1,
                    Event::Ended(_, Ended::Lost) => self.ended[1] += 1,
                    _ => {}
                }
                match event {
                    Event::Invite(invitation) => {
                        assert!(self.calls[side].insert(invitation.call), "told twice");
                    }
                    Event::Failed(id, _) | Event::Ended(id, _) => {
                        assert!(self.calls[side].remove(&id), "the end is told once: {event:?}");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Lets time pass, message by message and deadline by deadline.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.settle();
            let due = self.agents.iter().filter_map(Agent::poll_timeout);
            let due = due.chain(self.air.iter().map(|(at, ..)| *at)).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            let arrived = self.air.iter().position(|(at, ..)| *at <= self.now);
            if let Some((_, to, octets)) = arrived.map(|place| self.air.swap_remove(place)) {
                self.agents[to].handle_message(at(2 - to as u16), &octets, self.now);
            } else {
                self.agents.iter_mut().for_each(|agent| agent.handle_timeout(self.now));
            }
        }
        self.now = end;
    }

    /// Does something that a user may do.
    fn act(&mut self) {
        let side = self.draw(2) as usize;
        let (choice, nth) = (self.draw(8), self.draw(3) as usize);
        let now = self.now;
        let agent = &mut self.agents[side];
        let some = self.calls[side].iter().nth(nth).copied();
        match (choice, some) {
            (0 | 1, _) => {
                let id = agent.new_call();
                let (uri, to) = (format!("sip:x@{}", at(2 - side as u16)), at(2 - side as u16));
                self.calls[side].insert(id);
                agent.invite(id, &uri, to, ("us", None), at(4_000), now);
            }
            (2, Some(id)) => agent.ring(id),
            (3, Some(id)) => agent.ring_with_sound(id, at(5_000), now),
            (4 | 5, Some(id)) => agent.answer(id, at(5_000), now),
            (6, Some(id)) if self.draw(2) == 0 => {
                self.agents[side].reject(id, 486, now);
                self.forget_silent(side);
            }
            (_, Some(id)) if self.draw(3) == 0 => {
                self.agents[side].hang_up(id, now);
                self.forget_silent(side);
            }
            _ => {}
        }
    }

    /// Forgets calls that ended by our own word, of which nothing is told.
    fn forget_silent(&mut self, side: usize) {
        self.settle();
        let agent = &self.agents[side];
        self.calls[side].retain(|id| agent.calls.get(id).is_some_and(|call| !call.ending));
    }
}

/// Plays a world with pauses of up to so many milliseconds, and then to its end.
#[track_caller]
fn check(seed: u64, loss: u32, pauses_ms: [u32; 2]) -> (u32, [u32; 2]) {
    let mut pair = Pair::new(seed, loss);
    for _ in 0..60 {
        pair.act();
        let longest = pauses_ms[usize::from(pair.draw(20) == 0)];
        let pause = pair.draw(longest).into();
        pair.pass(Duration::from_millis(pause));
    }
    for side in [0, 1] {
        for id in pair.calls[side].clone() {
            pair.agents[side].hang_up(id, pair.now);
        }
        pair.forget_silent(side);
    }
    // A session timer outlives whoever forgot its call.
    pair.pass(Duration::from_secs(4_000));
    for (side, agent) in pair.agents.iter().enumerate() {
        let stats = agent.stats();
        let left = (stats.transactions, stats.dialogs, pair.calls[side].len());
        assert_eq!(left, (0, 0, 0), "seed {seed}, side {side}");
        assert_eq!(agent.poll_timeout(), None, "seed {seed}, side {side}");
        assert!(agent.dialogs.is_empty() && agent.merged.is_empty(), "seed {seed}");
    }
    (pair.answered, pair.ended)
}

#[test]
fn whatever_the_network_does_nothing_is_left_in_the_end() {
    let (mut answered, mut ended) = (0, [0; 2]);
    for seed in 0..SEEDS {
        let (more, [hung_up, lost]) = check(seed, 4, [3_000, 1_000_000]);
        answered += more;
        ended = [ended[0] + hung_up, ended[1] + lost];
    }
    println!("{answered} calls were answered; {ended:?} were hung up and lost");
    assert!(u64::from(answered) > SEEDS && ended.iter().all(|ended| *ended > 100));
}

#[test]
fn a_network_that_loses_nothing_loses_no_call() {
    let mut answered = 0;
    for seed in 0..SEEDS {
        let (more, [_, lost]) = check(seed, 0, [3_000, 6_000]);
        assert_eq!(lost, 0, "seed {seed}");
        answered += more;
    }
    println!("{answered} calls were answered");
    assert!(u64::from(answered) > SEEDS);
}

#[test]
fn mutants_of_every_message_of_a_call_leave_nothing_in_the_end() {
    let mut random = ChaCha12Rng::seed_from_u64(4_475);
    let mut world = World::new();
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let more = "Require: 100rel\r\nSupported: timer\r\nSession-Expires: 600\r\n";
    for round in 0..400 {
        let call_id = format!("Call-ID: text{round}");
        let fresh = |message: String| message.replace("Call-ID: text", &call_id).into_bytes();
        heard.clear();
        heard.push(fresh(request("INVITE", 1, "", more, if round % 3 == 0 { "" } else { SDP })));
        for step in 2..12 {
            let mut message = heard.last().cloned().unwrap_or_default();
            if random.next_u32() % 3 == 0 {
                let place = random.next_u32() as usize % message.len().max(1);
                match random.next_u32() % 3 {
                    0 => message.truncate(place),
                    1 => message[place] = b"\r\n;<>:=\" ,"[place % 10],
                    _ => message.insert(place, random.next_u32() as u8),
                }
            }
            world.agent.handle_message(at(9), &message, world.now);
            let mut tag = String::new();
            while let Some(transmit) = world.agent.poll_transmit() {
                let sent = Message::parse(&transmit.octets).unwrap();
                tag = sent.tag("To").unwrap_or(&tag).to_owned();
            }
            while let Some(event) = world.event() {
                if let Event::Invite(invitation) = event {
                    world.agent.ring_with_sound(invitation.call, at(5_000), world.now);
                    world.agent.answer(invitation.call, at(5_000), world.now);
                }
            }
            let methods = ["PRACK", "ACK", "UPDATE", "INVITE", "INFO", "BYE", "CANCEL", "OPTIONS"];
            let method = methods[random.next_u32() as usize % methods.len()];
            let rack = if method == "PRACK" { "RAck: 1 1 INVITE\r\n" } else { "" };
            heard.push(fresh(request(
                method,
                step,
                &tag,
                rack,
                if step % 2 == 0 { SDP } else { "" },
            )));
            world.after(0.3);
        }
    }
    world.after(2_000.0);
    let stats = world.agent.stats();
    assert_eq!((stats.transactions, stats.dialogs), (0, 0));
    assert_eq!(world.agent.poll_timeout(), None);
}
