//! For whom a program runs, which says what it may do.

use model::{AccountSid, CallSid, ConferenceSid};

use crate::Audience;
use crate::context::{About, Owner};

/// For whom a program runs.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) owner: Owner,
    pub(crate) account: AccountSid,
    pub(crate) call: Option<CallSid>,
    pub(crate) conference: Option<ConferenceSid>,
    pub(crate) audience: Audience,
    /// The form fields of its requests.
    pub(crate) params: Vec<(String, String)>,
}

impl Client {
    pub(super) fn is_call(&self) -> bool {
        matches!(self.owner, Owner::Call(_))
    }

    /// Whether it is what a call hears in a queue.
    pub(super) fn is_queue(&self) -> bool {
        matches!(self.owner, Owner::Queue(_))
    }

    /// Whether it is what somebody hears in a conference.
    pub(super) fn is_room(&self) -> bool {
        !self.is_call() && !self.is_queue()
    }

    pub(crate) fn about(&self, url: &str) -> About {
        About {
            account: self.account,
            call: self.call,
            conference: self.conference,
            url: (!url.is_empty()).then(|| url.to_owned()),
        }
    }
}
