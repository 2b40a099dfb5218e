//! Walks of the reference model: requests drawn from a seed, each judged by every ear.

use e2e::{Origin, Server};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::model::{Model, Update};
use crate::room::{HOLD, Room, fault};

/// Phones in a walk's room.
const SIZE: usize = 5;
/// Requests of one walk.
const STEPS: usize = 12;

/// Plays one walk; returns what was not as the model says, and the way there.
pub async fn walk(server: &Server, origin: &Origin, seed: u64) -> Vec<String> {
    let name = format!("walk{seed}");
    let Some(room) = Room::open(server, origin, &name, SIZE, true).await else {
        return vec![format!("seed {seed}: not everyone came in")];
    };
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut model = Model::new(SIZE, true);
    let mut way = Vec::new();
    for _ in 0..STEPS {
        let target = random.next_u32() as usize % SIZE;
        let update = draw(&mut random);
        let by_label = random.next_u32().is_multiple_of(2);
        way.push(format!("{target} {update:?}"));
        let faults = step(&room, origin, &mut model, (target, by_label), update).await;
        if !faults.is_empty() {
            let way = way.join("\n  ");
            return vec![format!("seed {seed}: {}\n  {way}", faults.join("; "))];
        }
    }
    Vec::new()
}

/// Draws a request: each field is absent as often as not.
fn draw(random: &mut ChaCha12Rng) -> Update {
    let mut flag = || [None, None, Some(true), Some(false)][random.next_u32() as usize % 4];
    let (muted, hold, coaching) = (flag(), flag(), flag());
    let coached = random.next_u32() as usize % (2 * SIZE);
    Update { muted, hold, coaching, to_coach: (coached < SIZE).then_some(coached) }
}

async fn step(
    room: &Room<'_>,
    origin: &Origin,
    model: &mut Model,
    (target, by_label): (usize, bool),
    update: Update,
) -> Vec<String> {
    let hold_url = origin.url(&format!("/{}/hold", room.name));
    let word = |flag: Option<bool>| flag.map(|flag| if flag { "true" } else { "false" });
    let mut form: Vec<(&str, &str)> = Vec::new();
    form.extend(word(update.muted).map(|muted| ("Muted", muted)));
    form.extend(word(update.hold).map(|hold| ("Hold", hold)));
    form.extend((update.hold == Some(true)).then_some(("HoldUrl", hold_url.as_str())));
    form.extend(word(update.coaching).map(|coaching| ("Coaching", coaching)));
    form.extend(update.to_coach.map(|coached| ("CallSidToCoach", room.calls[coached].as_str())));
    let answer = room.server.post(&room.path(target, by_label), &form).await;
    let (status, code) = match model.update(target, update) {
        Ok(()) => (200, None),
        Err(code) => (400, Some(u64::from(code))),
    };
    if (answer.status, answer.body["code"].as_u64()) != (status, code) {
        return vec![format!("answered {answer:?}, expected {status} {code:?}")];
    }
    let model = &*model;
    room.judge(|who, ear| {
        let held = model.members[who].held;
        let music = fault(ear.level(HOLD) / 2_500.0, held, &format!("{who}'s hold document"));
        let voices = room.voices(who, ear, |speaker| model.hears(who, speaker));
        voices.into_iter().chain(music).collect()
    })
    .await
}
