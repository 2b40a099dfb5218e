//! The Queue and Member resources: what the API asks of queues.
//!
//! Source: Twilio API 2010-04-01, Queue and Member resources.

use model::{AccountSid, CallSid, Change, Queue as Record, QueueSid};

use crate::context::Context;
use crate::dial::FAILED;
use crate::exchange::World;
use crate::*;

/// Longest name of a queue, in characters. Source: Twilio error 14205.
pub const QUEUE_NAME_MAX: usize = 64;
/// How many may wait where nothing else is said, and at most. Source: Twilio, Queue resource, `MaxSize`.
pub const QUEUE_SIZE: u32 = 1_000;
/// See above.
pub const QUEUE_SIZE_MAX: u32 = 5_000;
/// Most queues of all accounts.
pub const QUEUES_MAX: usize = 10_000;

/// A queue, until it is deleted.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) record: Record,
    /// Who waits, the first one first.
    pub(crate) members: Vec<CallSid>,
    /// Whose `<Dial>` waits for somebody to come.
    pub(crate) takers: Vec<CallSid>,
}

impl Queue {
    pub(crate) fn new(record: Record) -> Self {
        Self { record, members: Vec::new(), takers: Vec::new() }
    }
}

/// A name that cannot be a queue's, under Twilio's code.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let code = match name.chars().count() {
        0 => 14204,
        length if length > QUEUE_NAME_MAX => 14205,
        _ => return Ok(()),
    };
    let message = format!("a queue's name has 1 to {QUEUE_NAME_MAX} characters");
    Err(Failure { code, message })
}

impl World {
    /// `POST .../Queues.json`
    pub(crate) fn create_queue(
        &mut self,
        account: AccountSid,
        name: &str,
        max_size: u32,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        self.check_queue_name(account, name)?;
        let sid = self.make_queue(account, name, max_size, ctx);
        Ok(Reply::Queue(sid))
    }

    fn check_queue_name(&self, account: AccountSid, name: &str) -> Result<(), Refusal> {
        let invalid = |message| Refusal::Invalid { parameter: "FriendlyName", message };
        check_name(name).map_err(|failure| invalid(failure.message))?;
        if self.queue_names.contains_key(&(account, name.to_owned())) {
            return Err(invalid(format!("there is a queue {name:?} already")));
        }
        if self.queues.len() >= QUEUES_MAX {
            return Err(invalid(format!("there are {QUEUES_MAX} queues already")));
        }
        Ok(())
    }

    pub(crate) fn make_queue(
        &mut self,
        account: AccountSid,
        name: &str,
        max_size: u32,
        ctx: &mut Context<'_>,
    ) -> QueueSid {
        let record = Record {
            sid: ctx.names.queue(),
            account,
            friendly_name: name.to_owned(),
            max_size,
            date_created: ctx.now.wall,
            date_updated: ctx.now.wall,
        };
        let sid = record.sid;
        ctx.push(Effect::Write(Change::Queue(Box::new(record.clone()))));
        self.queue_names.insert((account, name.to_owned()), sid);
        self.queues.insert(sid, Queue::new(record));
        sid
    }

    fn queue_of(&self, account: AccountSid, sid: QueueSid) -> Result<&Queue, Refusal> {
        let queue = self.queues.get(&sid).filter(|queue| queue.record.account == account);
        queue.ok_or(Refusal::QueueNotFound)
    }

    /// `POST .../Queues/{Sid}.json`
    pub(crate) fn update_queue(
        &mut self,
        account: AccountSid,
        sid: QueueSid,
        name: Option<String>,
        max_size: Option<u32>,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let old = self.queue_of(account, sid)?.record.friendly_name.clone();
        let name = name.filter(|name| *name != old);
        if let Some(name) = &name {
            self.check_queue_name(account, name)?;
            self.queue_names.remove(&(account, old));
            self.queue_names.insert((account, name.clone()), sid);
        }
        let record = &mut self.queues.get_mut(&sid).expect("just found").record;
        record.friendly_name = name.unwrap_or_else(|| record.friendly_name.clone());
        record.max_size = max_size.unwrap_or(record.max_size);
        record.date_updated = ctx.now.wall;
        ctx.push(Effect::Write(Change::Queue(Box::new(record.clone()))));
        Ok(Reply::Queue(sid))
    }

    /// `DELETE .../Queues/{Sid}.json`
    pub(crate) fn delete_queue(
        &mut self,
        account: AccountSid,
        sid: QueueSid,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let queue = self.queue_of(account, sid)?;
        if !queue.members.is_empty() {
            return Err(Refusal::QueueNotEmpty);
        }
        let name = (account, queue.record.friendly_name.clone());
        let takers = queue.takers.clone();
        self.queue_names.remove(&name);
        self.queues.remove(&sid);
        ctx.push(Effect::Write(Change::DeleteQueue(sid)));
        for taker in takers {
            self.nobody_came(taker, FAILED, ctx);
        }
        Ok(Reply::Done)
    }

    /// `POST .../Queues/{Sid}/Members/{CallSid}.json`: the call leaves the queue for a document.
    pub(crate) fn dequeue(
        &mut self,
        account: AccountSid,
        sid: QueueSid,
        call: CallSid,
        document: Document,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        if !self.queue_of(account, sid)?.members.contains(&call) {
            return Err(Refusal::MemberNotFound);
        }
        self.redirect(call, Instructions::Url { document, fallback: None }, ctx);
        Ok(Reply::Done)
    }
}
