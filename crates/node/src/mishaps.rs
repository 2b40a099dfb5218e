//! What goes wrong with calls of ours that a status does not tell: for the server's log and the customer's.
//!
//! Source: Twilio "Error and Warning Dictionary", 32011 and 32208.

use exchange::{Event, Failure};
use model::{CallSid, Level, Now};
use sip::CallId;

use crate::core::Core;

/// Twilio's code: there was a problem with reaching the far end. It is a warning, as another trunk may take the call.
const UNREACHED: u32 = 32_011;
/// Twilio's code: secure media is required.
const UNPROTECTED: u32 = 32_208;

impl Core {
    /// A message of ours could not be sent. Only what somebody waits for an answer to is a request that fails.
    pub(crate) fn unsent(&mut self, octets: &[u8], why: String, now: Now) {
        let Some(id) = self.agent.asked_by(octets) else { return };
        let call = self.by_sip.get(&id).copied();
        let sid = call.map(|call| call.to_string()).unwrap_or_default();
        tracing::warn!(call.sid = %sid, why, "a SIP request could not be sent");
        if let Some(call) = call {
            self.remark(call, Level::Warning, UNREACHED, why, now);
        }
        self.agent.unsent(octets, now.instant);
    }

    /// A phone answered in the clear where encryption is demanded, and is not heard.
    pub(crate) fn unprotected(&mut self, id: CallId, now: Now) {
        let Some(call) = self.by_sip.get(&id).copied() else { return };
        let why = "the call was answered without SRTP, which is demanded of it: let the far end answer with keys, or \
                   have less demanded by srtp";
        tracing::warn!(call.sid = %call, "a call was answered without SRTP, which is demanded of it");
        self.remark(call, Level::Error, UNPROTECTED, why.to_owned(), now);
    }

    fn remark(&mut self, call: CallSid, level: Level, code: u32, message: String, now: Now) {
        let remark = Failure { code, message };
        self.event(Event::CallRemarked { call, level, remark }, now);
    }
}
