//! Phones around one shard, and its rooms.

use std::time::{Duration, Instant};

use media::{Channel, Command, Hears, LegId, LegStats, Pcm, PlayTo, PlayerId};
use media::{RoomId, Route, Shard, Speaks, TICK};

use crate::phone::{Phone, address};

pub const ROOM: RoomId = RoomId(1);

/// Phones around one shard: the n-th is leg n.
pub struct Street {
    pub shard: Shard,
    start: Instant,
    ticks: u32,
    pub phones: Vec<Phone>,
}

impl Street {
    #[allow(clippy::disallowed_methods, reason = "an epoch")]
    pub fn new() -> Self {
        Self { shard: Shard::new(7), start: Instant::now(), ticks: 0, phones: Vec::new() }
    }

    /// A room of those who hear each other.
    pub fn of(phones: impl IntoIterator<Item = Phone>) -> Self {
        let mut street = Self::new();
        for phone in phones {
            street.join(phone);
        }
        street
    }

    /// Lets a phone into the room.
    pub fn join(&mut self, phone: Phone) -> usize {
        let who = self.call(phone);
        self.route(who, Speaks::Everyone, Hears::Everyone);
        who
    }

    /// Lets a phone in, and into no room.
    pub fn call(&mut self, mut phone: Phone) -> usize {
        let who = self.phones.len();
        let options = phone.begin(leg(who), self.since());
        self.phones.push(phone);
        self.command(Command::AddLeg(leg(who), Box::new(options)));
        who
    }

    pub fn command(&mut self, command: Command) {
        let now = self.start + self.since();
        self.shard.handle_command(command, now);
    }

    /// Gives a phone its place in the room.
    pub fn route(&mut self, who: usize, speaks: Speaks, hears: Hears) {
        self.place(who, Route { room: Some(ROOM), speaks, hears, ..Route::nowhere() });
    }

    pub fn place(&mut self, who: usize, route: Route) {
        self.command(Command::Route(leg(who), route));
    }

    /// Puts a phone on hold, or takes it off.
    pub fn hold(&mut self, who: usize, held: bool) {
        if held {
            self.route(who, Speaks::Nobody, Hears::Nothing);
        } else {
            self.route(who, Speaks::Everyone, Hears::Everyone);
        }
    }

    /// Plays a tone of 8 kHz to somebody or to all.
    pub fn play(&mut self, player: u64, to: PlayTo, pcm: Pcm, loops: Option<u32>) {
        let player = PlayerId(player);
        self.command(Command::Play { player, to, pcm, loops, paused: false });
    }

    pub fn stats(&self, who: usize) -> LegStats {
        self.shard.leg_stats(leg(who)).unwrap()
    }

    /// Returns how long the street has been there.
    pub fn since(&self) -> Duration {
        TICK * self.ticks
    }

    /// Lets time pass; afterwards each phone has what it heard meanwhile.
    pub fn run(&mut self, ms: u32) {
        for phone in &mut self.phones {
            phone.heard.clear();
            phone.packets = 0;
            phone.payloads.clear();
        }
        self.run_on(ms);
    }

    /// The same, and what was heard before stays.
    pub fn run_on(&mut self, ms: u32) {
        for _ in 0..ms / 20 {
            self.tick(|_, _| {});
        }
    }

    /// Lets one tick pass; before the sound is mixed, `then` may send what no phone does.
    pub fn tick(&mut self, then: impl FnOnce(&mut Shard, Instant)) {
        let (since, now) = (self.since(), self.start + self.since());
        for (who, phone) in self.phones.iter_mut().enumerate() {
            for (comes, packet) in phone.speak(since) {
                let at = self.start + comes;
                let from = address(leg(who));
                self.shard.handle_datagram(leg(who), Channel::Rtp, from, &packet, at);
            }
        }
        then(&mut self.shard, now);
        self.shard.handle_tick(now);
        self.ticks += 1;
        let due = now + TICK - Duration::from_micros(1);
        while let Some(transmit) = self.shard.poll_transmit(due) {
            if transmit.channel == Channel::Rtp {
                self.phones[transmit.leg.0 as usize].hear(transmit.octets);
            }
        }
    }
}

pub fn leg(who: usize) -> LegId {
    LegId(who as u64)
}
