//! What there is of TwiML.
//!
//! Source: Twilio, TwiML for Programmable Voice.

use super::Verdict;

/// A verb or noun, and its attributes.
#[derive(Debug)]
pub struct Element {
    /// Its name.
    pub name: &'static str,
    /// In what it stands; empty: in `<Response>`.
    pub within: &'static str,
    /// Whether it is there.
    pub verdict: Verdict,
    /// Attributes that are as on Twilio.
    pub supported: &'static [&'static str],
    /// Attributes that are different: how.
    pub differs: &'static [(&'static str, &'static str)],
    /// Attributes that are ignored.
    pub not: &'static [&'static str],
}

const fn element(
    within: &'static str,
    name: &'static str,
    supported: &'static [&'static str],
) -> Element {
    Element { name, within, verdict: Verdict::Supported, supported, differs: &[], not: &[] }
}

const fn absent(within: &'static str, name: &'static str) -> Element {
    Element { verdict: Verdict::Not, ..element(within, name, &[]) }
}

const OF_CALLEE: &[&str] =
    &["url", "method", "statusCallback", "statusCallbackMethod", "statusCallbackEvent"];
const OF_NUMBER: &[&str] = &[
    "url",
    "method",
    "statusCallback",
    "statusCallbackMethod",
    "statusCallbackEvent",
    "sendDigits",
    "machineDetectionTimeout",
    "machineDetectionSpeechThreshold",
    "machineDetectionSpeechEndThreshold",
    "machineDetectionSilenceTimeout",
    "amdStatusCallback",
    "amdStatusCallbackMethod",
];
const OF_SIP: &[&str] = &[
    "url",
    "method",
    "statusCallback",
    "statusCallbackMethod",
    "statusCallbackEvent",
    "username",
    "password",
    "machineDetectionTimeout",
    "machineDetectionSpeechThreshold",
    "machineDetectionSpeechEndThreshold",
    "machineDetectionSilenceTimeout",
    "amdStatusCallback",
    "amdStatusCallbackMethod",
];
const BY_LENGTHS: &[(&str, &str)] = &[("machineDetection", "by the lengths of speech and silence")];

/// Verbs, then nouns.
#[rustfmt::skip]
pub static ELEMENTS: &[Element] = &[
    Element {
        not: &["callReason", "recordingConfigurationId", "referUrl", "referMethod", "events"],
        ..element("", "Dial", &[
            "action", "answerOnBridge", "callerId", "hangupOnStar", "method", "record", "recordingStatusCallback",
            "recordingStatusCallbackMethod", "recordingStatusCallbackEvent", "recordingTrack", "ringTone", "sequential",
            "timeLimit", "timeout", "trim",
        ])
    },
    element("", "Enqueue", &["action", "method", "waitUrl", "waitUrlMethod", "maxQueueSize"]),
    Element {
        differs: &[
            ("input", "speech needs a recogniser of your own; without one it is noted as 13343"),
            ("language", "what the recogniser is told"), ("hints", "what the recogniser is told"),
            ("speechModel", "what the recogniser is told"), ("enhanced", "what the recogniser is told"),
            ("partialResultCallback", "every second the recogniser is asked for what was said so far; what is new is told with UnstableSpeechResult, Stability and SequenceNumber"),
            ("partialResultCallbackMethod", "how that is told"),
        ],
        not: &["profanityFilter", "debug"],
        ..element("", "Gather", &[
            "action", "method", "timeout", "finishOnKey", "numDigits", "actionOnEmptyResult", "speechTimeout",
            "maxSpeechTime", "bargeIn",
        ])
    },
    element("", "Hangup", &[]),
    element("", "Leave", &[]),
    element("", "Pause", &["length"]),
    element("", "Play", &["loop", "digits"]),
    Element {
        not: &["recordingConfigurationId", "transcribe", "transcribeCallback"],
        ..element("", "Record", &[
            "action", "method", "timeout", "finishOnKey", "maxLength", "playBeep", "trim", "recordingStatusCallback",
            "recordingStatusCallbackMethod", "recordingStatusCallbackEvent",
        ])
    },
    element("", "Redirect", &["method"]),
    element("", "Reject", &["reason"]),
    Element {
        differs: &[("voice", "the nearest of one embedded voice"), ("language", "English and thirty European ones")],
        ..element("", "Say", &["loop"])
    },
    Element {
        not: &["recordingConfigurationId"],
        ..element("Start", "Recording", &[
            "channels", "track", "trim", "recordingStatusCallback", "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
        ])
    },
    element("Stop", "Recording", &[]),
    Element {
        not: OF_APPLICATION,
        ..element("Dial", "Application", OF_CALLEE)
    },
    element("Dial", "Client", OF_CALLEE),
    Element {
        differs: &[("region", "kept and shown; it is mixed here"), ("jitterBufferSize", "absent: adaptive; a size bounds it")],
        not: &["eventCallbackUrl", "recordingConfigurationId"],
        ..element("Dial", "Conference", &[
            "muted", "beep", "startConferenceOnEnter", "endConferenceOnExit", "participantLabel", "waitUrl",
            "waitMethod", "maxParticipants", "coach", "statusCallback", "statusCallbackMethod", "statusCallbackEvent",
            "record", "trim", "recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent",
        ])
    },
    Element { differs: BY_LENGTHS, not: &["byoc"], ..element("Dial", "Number", OF_NUMBER) },
    Element {
        not: &["reservationSid", "postWorkActivitySid"],
        ..element("Dial", "Queue", &["url", "method"])
    },
    Element { differs: BY_LENGTHS, ..element("Dial", "Sip", OF_SIP) },
    absent("", "Connect"),
    absent("", "Pay"),
    absent("", "Prompt"),
    absent("", "Refer"),
    absent("", "Sms"),
    absent("Start", "Siprec"),
    absent("Start", "Stream"),
    absent("Start", "Transcription"),
    absent("Dial", "AiSession"),
    absent("Dial", "Sim"),
    absent("Dial", "WhatsApp"),
];

const OF_APPLICATION: &[&str] = &["customerId", "copyParentTo"];
