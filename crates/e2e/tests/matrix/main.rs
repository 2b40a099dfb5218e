//! The tone matrix: rooms of real phones over loopback, each with a tone of its own; every set of
//! the twelve parameters, judged by all that can be seen from the street.

#![allow(clippy::unwrap_used)]

mod case;
mod model;
mod room;
mod sets;
mod walks;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Played, about};
use e2e::{Origin, Server};
use sets::{Case, Set};
use tokio::sync::Semaphore;

/// Rooms that run at the same time.
const ROOMS: usize = 8;
/// Sets that are played in the room of fifty.
const SETS_OF_FIFTY: usize = 42;
/// Rooms of one test that are played a second time where something was wrong: an announcement lasts
/// three seconds, and a machine that has no time for so long makes gaps that are none of ours.
const AGAIN_MAX: usize = 3;
/// Walks of the model in a normal run and in a deep one.
const WALKS: (u64, u64) = (8, 500);

/// The tests take turns: together they would be more phones than two cores carry.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_set_of_the_twelve_is_heard_in_a_room_of_eight() {
    let mut cases = Vec::new();
    for set in Set::all() {
        for (started, by_label) in [(true, false), (true, true), (false, false), (false, true)] {
            cases.push(Case { set, size: 8, started, by_label });
        }
    }
    play(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twelve_are_heard_in_rooms_of_two_and_three() {
    let mut cases = Vec::new();
    for (index, set) in Set::all().into_iter().enumerate() {
        let (started, by_label) = (index % 4 < 2, index % 3 == 0);
        cases.extend([2, 3].map(|size| Case { set, size, started, by_label }));
    }
    play(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twelve_are_heard_in_a_room_of_fifty() {
    let _turn = ONE_AT_A_TIME.acquire().await.unwrap();
    let origin = Origin::start().await;
    let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
    // All twelve are the last set; the others are the singles and as many pairs as there is time for.
    let sets = Set::all();
    let sets = sets.iter().take(SETS_OF_FIFTY - 1).chain(sets.last()).enumerate();
    let cases =
        sets.map(|(index, &set)| Case { set, size: 50, started: true, by_label: index % 2 == 0 });
    let faults = Played::in_turn(&server, &origin, cases.collect()).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// With `SIDETONE_SEED=7` only that walk is played.
#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_updates_is_heard_as_the_model_says() {
    let _turn = ONE_AT_A_TIME.acquire().await.unwrap();
    let origin = Origin::start().await;
    let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let seeds = 0..if deep { WALKS.1 } else { WALKS.0 };
    let only = std::env::var("SIDETONE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = only.map_or_else(|| seeds.collect(), |seed| vec![seed]);
    println!("seeds {seeds:?}");
    let server = Arc::new(server);
    let walks = seeds.into_iter().map(|seed| {
        let (server, origin) = (Arc::clone(&server), origin.clone());
        async move { walks::walk(&server, &origin, seed).await }
    });
    let faults = some_at_a_time(walks).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Plays cases, some at a time, each in a room of its own, and names all that went wrong.
///
/// With `SIDETONE_CASE=Hold+AnnounceUrl` only the cases of that set are played, many times.
async fn play(mut cases: Vec<Case>) {
    if let Ok(only) = std::env::var("SIDETONE_CASE") {
        cases.retain(|case| case.set.name() == only);
        cases = cases.repeat(20);
    }
    let _turn = ONE_AT_A_TIME.acquire().await.unwrap();
    let origin = Origin::start().await;
    let server = Arc::new(Server::start(&["--voice-url", &origin.url("/voice")]).await);
    let count = cases.len();
    let again = Arc::new(AtomicUsize::new(0));
    let played = cases.into_iter().enumerate().map(|(number, case)| {
        let (server, origin) = (Arc::clone(&server), origin.clone());
        let again = Arc::clone(&again);
        async move {
            let mut faults = Played::alone(&server, &origin, &format!("r{number}"), case).await;
            if !faults.is_empty() && again.fetch_add(1, Ordering::Relaxed) < AGAIN_MAX {
                println!("played again: {}", about(case, &faults.join("; ")));
                faults = Played::alone(&server, &origin, &format!("r{number}again"), case).await;
            }
            faults.iter().map(|fault| about(case, fault)).collect()
        }
    });
    let faults = some_at_a_time(played).await;
    assert!(faults.is_empty(), "{} faults in {count} rooms:\n{}", faults.len(), faults.join("\n"));
}

/// Runs what finds faults, [`ROOMS`] at a time.
async fn some_at_a_time<F>(all: impl Iterator<Item = F>) -> Vec<String>
where
    F: Future<Output = Vec<String>> + Send + 'static,
{
    let rooms = Arc::new(Semaphore::new(ROOMS));
    let mut running = tokio::task::JoinSet::new();
    for one in all {
        let room = Arc::clone(&rooms).acquire_owned().await.unwrap();
        running.spawn(async move {
            let faults = one.await;
            drop(room);
            faults
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}
