//! Who has answered a call, between the exchange and the shard.

use exchange::Event;
use media::{Answerer, Detection, LegId};
use model::{AnsweredBy, CallSid, MachineDetection, Now};

use crate::core::Core;

impl Core {
    /// Lets a call's leg be listened to.
    pub(crate) fn detect(&mut self, call: CallSid, limits: MachineDetection) {
        let Some(leg) = self.calls.get(&call).map(|wired| wired.leg) else { return };
        let MachineDetection {
            message_end,
            timeout,
            speech_threshold,
            speech_end_threshold,
            silence_timeout,
        } = limits;
        let detection = Detection {
            message_end,
            timeout,
            speech_threshold,
            speech_end_threshold,
            silence_timeout,
        };
        self.media(media::Command::Detect(leg, detection));
    }

    /// Tells the exchange who is on a leg.
    pub(crate) fn answered_by(&mut self, leg: LegId, answerer: Answerer, now: Now) {
        let Some(&call) = self.legs().get(&leg) else { return };
        let who = match answerer {
            Answerer::Human => AnsweredBy::Human,
            Answerer::MachineStart => AnsweredBy::MachineStart,
            Answerer::MachineEndBeep => AnsweredBy::MachineEndBeep,
            Answerer::MachineEndSilence => AnsweredBy::MachineEndSilence,
            Answerer::MachineEndOther => AnsweredBy::MachineEndOther,
            Answerer::Fax => AnsweredBy::Fax,
            Answerer::Unknown => AnsweredBy::Unknown,
        };
        self.event(Event::AnsweredBy { call, who }, now);
    }
}
