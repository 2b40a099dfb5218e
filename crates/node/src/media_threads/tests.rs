use std::time::Duration;

use media::{Hears, LegOptions, Speaks, Track};

use super::*;
use crate::media_thread::inbox::Inbox;

/// Media threads whose inboxes are read by the test.
struct Inspected {
    threads: MediaThreads,
    inboxes: Vec<Inbox>,
}

impl Inspected {
    fn new(count: usize) -> Self {
        let (senders, inboxes) = (0..count).map(|_| channel(1_000)).unzip();
        Self { threads: MediaThreads::of(senders), inboxes }
    }

    fn add(&mut self, leg: u64) {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 4_000));
        let options = LegOptions::plain(media::Codec::Pcmu, 0, address);
        self.threads.command(Command::AddLeg(LegId(leg), Box::new(options)));
    }

    fn route(&mut self, leg: u64, room: Option<u64>) {
        let room = room.map(RoomId);
        let (speaks, hears) = (Speaks::Everyone, Hears::Everyone);
        let route = Route { room, speaks, hears, ..Route::nowhere() };
        self.threads.command(Command::Route(LegId(leg), route));
    }

    /// Returns what each thread was told since the last time, a word each, and about whom.
    fn told(&self) -> Vec<Vec<String>> {
        let word = |input: Input| match input {
            Input::Command(command, about) => {
                let command = format!("{command:?}");
                let name = command.split(['(', ' ']).next().unwrap_or_default();
                about.map_or(name.to_owned(), |leg| format!("{name} of {}", leg.0))
            }
            Input::Expect(leg) => format!("expect {}", leg.0),
            Input::Depart(leg, to) => format!("depart {} to {to}", leg.0),
            Input::Voices(rooms, _) => format!("voices of {}", rooms.len()),
            Input::OpenRing(..) => "ring".to_owned(),
            Input::Stop => "stop".to_owned(),
            _ => "other".to_owned(),
        };
        let all = |inbox: &Inbox| {
            std::iter::from_fn(|| inbox.recv_timeout(Duration::ZERO).ok()).map(word).collect()
        };
        self.inboxes.iter().map(all).collect()
    }

    fn place(&self, leg: u64) -> usize {
        self.threads.legs[&LegId(leg)].thread
    }

    /// Adds legs until one begins on each of two threads; returns these.
    fn one_on_each(&mut self) -> [u64; 2] {
        let first = |thread| (1..).find(|leg| self.threads.inboxes.first_of(LegId(*leg)) == thread);
        let legs = [first(0).unwrap(), first(1).unwrap()];
        legs.into_iter().for_each(|leg| self.add(leg));
        self.told();
        legs
    }
}

#[test]
fn whoever_enters_a_room_from_another_thread_moves_and_is_told_there_what_comes_after() {
    let mut two = Inspected::new(2);
    let [here, there] = two.one_on_each();
    // Though the other thread has as many.
    two.route(there, Some(9));
    assert_eq!(two.told(), [vec![], vec![format!("Route of {there}")]]);
    let [here, there] = [there, here];
    let room = two.place(here);
    two.route(there, Some(9));
    let mut expected = [Vec::new(), Vec::new()];
    expected[1 - room] = vec![format!("depart {there} to {room}")];
    expected[room] = vec![format!("expect {there}"), format!("Route of {there}")];
    assert_eq!(two.told(), expected);
    two.threads.command(Command::RemoveLeg(LegId(there)));
    two.threads.command(Command::RemoveLeg(LegId(here)));
    expected[1 - room].clear();
    expected[room] = vec![format!("RemoveLeg of {there}"), format!("RemoveLeg of {here}")];
    assert_eq!(two.told(), expected);
    assert!(two.threads.rooms.is_empty() && two.threads.legs.is_empty());
    assert_eq!(two.threads.load, [0, 0]);
}

#[test]
fn rooms_come_to_the_thread_with_the_fewest_legs() {
    let mut four = Inspected::new(4);
    for leg in 0..400 {
        four.add(leg);
        four.route(leg, Some(leg / 10));
    }
    assert_eq!(four.threads.load.iter().sum::<usize>(), 400);
    assert!(
        four.threads.load.iter().all(|load| (90..=110).contains(load)),
        "{:?}",
        four.threads.load
    );
    for room in 0..40 {
        let places: Vec<usize> = (0..10).map(|leg| four.place(room * 10 + leg)).collect();
        assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    }
}

#[test]
fn a_room_stays_where_it_is_while_anything_is_in_it() {
    let mut two = Inspected::new(2);
    let room = RoomId(9);
    let (player, tap, recording) = (PlayerId(1), TapId(2), RecordingId(3));
    let pcm = [0_i16; 160].as_slice().into();
    let to = PlayTo::Room(room);
    two.threads.command(Command::Play { player, to, pcm, loops: None, paused: false });
    two.threads.command(Command::OpenTap(tap, room));
    two.threads.command(Command::Record(recording, Source::Room(room, None)));
    assert_eq!(two.threads.rooms[&room].things, 3);
    two.threads.observe(Event::PlayerEnded(player));
    two.threads.command(Command::Stop(player));
    two.threads.command(Command::CloseTap(tap));
    two.threads.command(Command::CloseTap(tap));
    assert_eq!(two.threads.rooms[&room].things, 1);
    two.threads.command(Command::StopRecording(recording));
    assert!(two.threads.rooms.is_empty() && two.threads.recordings.is_empty());
    assert!(two.threads.players.is_empty() && two.threads.taps.is_empty());
}

#[test]
fn a_recording_follows_its_leg_and_is_stopped_where_that_went() {
    let mut two = Inspected::new(2);
    let [here, there] = two.one_on_each();
    two.route(here, Some(9));
    two.told();
    let room = two.place(here);
    let recording = RecordingId(3);
    two.threads.command(Command::Record(recording, Source::Leg(LegId(there), Track::Both)));
    two.route(there, Some(9));
    two.threads.command(Command::RemoveLeg(LegId(there)));
    two.threads.command(Command::StopRecording(recording));
    let told = two.told();
    assert_eq!(told[1 - room], [format!("Record of {there}"), format!("depart {there} to {room}")]);
    assert_eq!(told[room].last(), Some(&format!("StopRecording of {there}")));
}

#[test]
fn what_is_told_of_a_leg_that_is_gone_reaches_nobody() {
    let mut two = Inspected::new(2);
    two.route(7, Some(9));
    two.threads.command(Command::Pause(PlayerId(1), true));
    two.threads.command(Command::StopRecording(RecordingId(1)));
    assert_eq!(two.told(), [[""; 0]; 2]);
    assert!(two.threads.rooms.is_empty());
}

#[test]
fn each_thread_is_asked_once_how_loud_everyone_is() {
    let mut two = Inspected::new(2);
    for leg in 0..40 {
        two.add(leg);
        two.route(leg, Some(100 + leg / 4));
    }
    two.told();
    drop(two.threads.voices((100..110).map(RoomId).collect()));
    let seats = two.threads.rooms.values();
    let on_first = seats.filter(|seat| seat.thread == 0).count();
    assert!((1..10).contains(&on_first), "{on_first}");
    let expected = [on_first, 10 - on_first].map(|rooms| vec![format!("voices of {rooms}")]);
    assert_eq!(two.told(), expected);
    drop(two.threads.voices(Vec::new()));
    assert_eq!(two.told(), [[""; 0]; 2]);
}
