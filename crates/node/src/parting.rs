//! Dialogs in the store: written when a call is up, forgotten when its phone knows that it is over.

use std::time::Duration;

use model::{CallSid, Change, Now};
use sip::CallId;

use crate::core::Core;

/// How long a stop waits for phones to say that they know of the end; those that do not are told
/// again by the next start.
pub const PARTING_LIMIT: Duration = Duration::from_secs(2);

impl Core {
    /// Writes what a BYE after a restart needs.
    pub(crate) fn keep_dialog(&mut self, call: CallSid, id: CallId) {
        let Some(dialog) = self.agent.dialog(id) else { return };
        let state = serde_json::to_string(&dialog).expect("strings and numbers are JSON");
        if let Some(wired) = self.calls.get_mut(&call) {
            wired.kept = true;
            // If it cannot be written, the phone notices by itself that nobody speaks.
            self.commit(vec![Change::Dialog { call, state }]);
        }
    }

    /// Ends a dialog of the last process: its phone is sent a BYE.
    pub fn end_dialog(&mut self, call: CallSid, dialog: sip::Dialog, now: Now) {
        let id = self.agent.end_dialog(dialog, now.instant);
        self.parting.insert(id, call);
    }

    /// Forgets a call that we end. Its dialog stays in the store until its phone knows.
    pub(crate) fn part(&mut self, call: CallSid) {
        if let Some(wired) = self.unplug(call)
            && wired.kept
        {
            self.parting.insert(wired.sip, call);
        }
    }

    /// Forgets a call that is over for both sides.
    pub(crate) fn unwire(&mut self, call: CallSid) {
        if let Some(wired) = self.unplug(call)
            && wired.kept
        {
            self.commit(vec![Change::DeleteDialog(call)]);
        }
    }

    /// Notes that a phone knows of the end, or will never say.
    pub(crate) fn parted(&mut self, id: CallId) {
        if let Some(call) = self.parting.remove(&id) {
            self.commit(vec![Change::DeleteDialog(call)]);
        }
    }
}
