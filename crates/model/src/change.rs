//! What a command changes in the tables: one word for each kind of row.

use crate::{
    Account, ApiKey, Call, CallSid, Callback, Conference, KeySid, Moment, Notification,
    Participant, Queue, QueueMember, QueueSid, Recording, RecordingSid, Resource, Timestamp,
    TrunkDay,
};

/// One row to write. A command's changes are committed together or not at all.
///
/// `state` is what a restart needs and no reader sees: JSON that only `exchange` reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Inserts or replaces an account.
    Account(Account),
    /// Inserts or replaces an API key.
    ApiKey(ApiKey),
    /// Deletes an API key; it is refused from then on.
    DeleteApiKey(KeySid),
    /// Inserts or replaces a call.
    Call {
        /// What readers see.
        record: Box<Call>,
        /// What a restart needs; empty once the call is over.
        state: String,
    },
    /// Deletes the record of a call that is over.
    DeleteCall(CallSid),
    /// Inserts or replaces a conference.
    Conference {
        /// What readers see.
        record: Box<Conference>,
        /// What a restart needs; empty once the conference is completed.
        state: String,
    },
    /// Inserts or replaces a participant.
    Participant {
        /// What readers see.
        record: Box<Participant>,
        /// What a restart needs; empty once the participant has left.
        state: String,
    },
    /// Inserts or replaces a queue.
    Queue(Box<Queue>),
    /// Deletes a queue in which nobody waits.
    DeleteQueue(QueueSid),
    /// Puts a call at the end of a queue.
    QueueMember(QueueMember),
    /// Takes a call out of its queue.
    DeleteQueueMember(CallSid),
    /// Inserts or replaces a callback in the outbox.
    Callback(Box<Callback>),
    /// Appends to a conference's history.
    Moment(Box<Moment>),
    /// Inserts or replaces a recording.
    Recording {
        /// What readers see.
        record: Box<Recording>,
        /// What a restart needs; empty once the recording is over.
        state: String,
    },
    /// Notes that a recording was deleted.
    DeleteRecording {
        /// Which.
        recording: RecordingSid,
        /// When.
        date: Timestamp,
    },
    /// Inserts or replaces what the API keeps.
    Resource(Box<Resource>),
    /// Deletes a resource, and all that is a part of it.
    DeleteResource(Box<Resource>),
    /// Deletes the oldest records of what was over before a time, looking at so many of each kind at most.
    Forget {
        /// When.
        before: Timestamp,
        /// How many.
        most: u32,
    },
    /// Appends to the debugger log.
    Notification(Box<Notification>),
    /// Inserts or replaces what it takes to end or take up a call's SIP dialog.
    Dialog {
        /// Whose dialog it is.
        call: CallSid,
        /// JSON that only `node` reads.
        state: String,
    },
    /// Notes how many calls a trunk has carried on a day, in place of its last one.
    TrunkDay(TrunkDay),
    /// Deletes a dialog that is over.
    DeleteDialog(CallSid),
}
