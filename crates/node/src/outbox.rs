//! Committed callbacks go out: in order for each conference, and nobody waits for another's
//! receiver. What is next after each attempt is decided in `delivery`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::{Callback, CallbackSid, Change, Delivery};
use store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use webhook::{Client, Failure, Overrides, Request};

use crate::accounts::Accounts;
use crate::debugger::{About, Debugger};
use crate::delivery::{Outbox, ROWS_MAX};
use crate::wall;

/// Rows that wait for room in the store's queue; beyond, no further attempt is made.
const UNWRITTEN_MAX: usize = 4_096;
/// How often a store whose queue is full is asked again.
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// What reaches the outbox.
#[derive(Debug)]
pub enum Owed {
    /// A callback whose row is committed.
    New(Callback),
    /// One that is to be sent once more.
    Again(Callback),
}

/// What came of a task.
enum Done {
    Answered(CallbackSid, Result<u16, Failure>),
    Read(String, Option<Vec<Callback>>),
}

struct Driver {
    outbox: Outbox,
    client: Client,
    accounts: Accounts,
    store: Store,
    debugger: Debugger,
    tasks: JoinSet<Done>,
    unwritten: VecDeque<Callback>,
}

/// Delivers what was owed when the server started, and what comes by `callbacks`.
pub async fn run(
    mut callbacks: mpsc::UnboundedReceiver<Owed>,
    client: Client,
    (accounts, store): (Accounts, Store),
    (rule, lanes): (Delivery, Vec<(String, String)>),
) {
    let mut outbox = Outbox::new(rule);
    for (lane, url) in lanes {
        outbox.owed(&lane, &url);
    }
    let debugger = Debugger::new(store.clone());
    let (tasks, unwritten) = (JoinSet::new(), VecDeque::new());
    let mut driver = Driver { outbox, client, accounts, store, debugger, tasks, unwritten };
    loop {
        driver.carry_out();
        let due = driver.outbox.poll_timeout();
        let write = (!driver.unwritten.is_empty()).then(|| Instant::now() + WRITE_PAUSE);
        let wake = due.into_iter().chain(write).min();
        tokio::select! {
            owed = callbacks.recv() => match owed {
                Some(Owed::New(callback)) => driver.outbox.push(callback),
                Some(Owed::Again(callback)) => driver.outbox.replay(callback),
                None => return,
            },
            Some(done) = driver.tasks.join_next() => match done {
                Ok(done) => driver.handle(done),
                Err(error) => tracing::error!(%error, "an attempt did not end"),
            },
            () = sleep_until(wake) => {}
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

impl Driver {
    fn carry_out(&mut self) {
        while let Some(first) = self.unwritten.front() {
            let change = Change::Callback(Box::new(first.clone()));
            if self.store.apply_later(vec![change]).is_err() {
                break;
            }
            self.unwritten.pop_front();
        }
        let now = Instant::now();
        while self.unwritten.len() < UNWRITTEN_MAX
            && let Some(callback) = self.outbox.poll_attempt(now)
        {
            let left = self.outbox.time_left(callback.sid, now);
            let (client, token) = (self.client.clone(), self.accounts.token(callback.account));
            self.tasks.spawn(attempt(callback, client, token, now + left));
        }
        while self.unwritten.is_empty()
            && let Some(lane) = self.outbox.poll_read()
        {
            self.tasks.spawn(read(lane, self.store.clone()));
        }
        while let Some(note) = self.outbox.poll_note() {
            let callback = note.callback;
            let about = About {
                account: callback.account,
                call: callback.call,
                conference: callback.conference,
                url: callback.url,
            };
            self.debugger.note(about, note.level, note.code, note.message, wall());
        }
    }

    fn handle(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Answered(sid, answer) => {
                self.unwritten.extend(self.outbox.handle_answer(sid, answer, now));
            }
            Done::Read(lane, rows) => self.outbox.handle_rows(&lane, rows, now),
        }
    }
}

async fn attempt(callback: Callback, client: Client, auth_token: String, until: Instant) -> Done {
    let (sid, overrides) = (callback.sid, Overrides::of(&callback.url));
    let request = request(callback, auth_token);
    let answer = client.send(&request, &overrides, until.into()).await;
    Done::Answered(sid, answer.map(|response| response.status))
}

/// Makes the request that tells of a callback.
pub fn request(callback: Callback, auth_token: String) -> Request {
    Request {
        url: callback.url,
        method: if callback.method.is_empty() { "POST".to_owned() } else { callback.method },
        params: callback.params,
        auth_token,
        idempotency_token: Some(callback.sid.to_string()),
        jar: None,
        judge: None,
    }
}

/// Reads a lane's rows. An empty batch is committed first, and with it all that was before it:
/// what has just been delivered is no longer owed.
async fn read(lane: String, store: Store) -> Done {
    let committed = match store.apply(Vec::new()) {
        Ok(committed) => matches!(committed.await, Ok(Ok(()))),
        Err(_) => false,
    };
    let rows = committed.then(|| store.callbacks_owed_of(&lane, ROWS_MAX)).and_then(Result::ok);
    Done::Read(lane, rows)
}
