//! What callbacks and requests for documents tell.
//!
//! Source: Twilio, requests of TwiML, call status callbacks, and `statusCallback` of `<Conference>`.

/// One kind of request to a customer's server.
#[derive(Debug)]
pub struct Callback {
    /// What it is.
    pub name: &'static str,
    /// Fields that are as on Twilio.
    pub supported: &'static [&'static str],
    /// Fields that differ or that Twilio does not have: how.
    pub differs: &'static [(&'static str, &'static str)],
    /// Fields that are never sent.
    pub not: &'static [&'static str],
}

const fn kind(name: &'static str, supported: &'static [&'static str]) -> Callback {
    Callback { name, supported, differs: &[], not: &[] }
}

/// All kinds of them; what is asked for a call has the fields of `call` beside its own.
#[rustfmt::skip]
pub static CALLBACKS: &[Callback] = &[
    Callback {
        differs: &[("SipHeader_", "each header X- of a call by SIP")],
        not: &[
            "ForwardedFrom", "CallToken", "FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip",
            "ToCountry", "StirVerstat", "StirPassportToken",
        ],
        ..kind("call", &[
            "CallSid", "AccountSid", "From", "To", "Caller", "Called", "CallStatus", "ApiVersion", "Direction",
            "CallerName", "ParentCallSid", "AnsweredBy",
        ])
    },
    Callback {
        differs: &[("ErrorCode", "of the document that failed"), ("ErrorUrl", "of the document that failed")],
        ..kind("fallback", &[])
    },
    kind("gather", &["Digits", "FinishedOnKey", "SpeechResult", "Confidence"]),
    Callback {
        differs: &[
            ("UnstableSpeechResult", "what was heard so far, once a second where it is new"),
            ("Stability", "as the recogniser says it"),
        ],
        ..kind("gather-partial", &["SequenceNumber"])
    },
    kind("record", &["RecordingUrl", "RecordingSid", "RecordingDuration", "Digits"]),
    Callback {
        differs: &[("DialSipHeader_", "each header of the answer that begins with X-")],
        ..kind("dial", &[
            "DialCallStatus", "DialCallSid", "DialCallDuration", "DialBridged", "DialSipCallId", "DialSipResponseCode",
            "RecordingUrl",
        ])
    },
    kind("enqueue", &["QueueResult", "QueueSid", "QueueTime"]),
    kind("queue", &[
        "QueueSid", "QueueTime", "QueuePosition", "AvgQueueTime", "CurrentQueueSize", "MaxQueueSize", "DequeingCallSid",
        "SpeechResult", "Confidence",
    ]),
    kind("wait", &["ConferenceSid", "FriendlyName"]),
    kind("amd-status", &["CallSid", "AccountSid", "AnsweredBy", "MachineDetectionDuration"]),
    kind("call-status", &[
        "CallDuration", "Duration", "Timestamp", "CallbackSource", "SequenceNumber", "RecordingUrl", "RecordingSid",
        "RecordingDuration",
    ]),
    Callback {
        not: &["EventName", "RecordingFileSize"],
        ..kind("conference-status", &[
            "ConferenceSid", "FriendlyName", "AccountSid", "SequenceNumber", "Timestamp", "StatusCallbackEvent", "CallSid",
            "Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter", "ParticipantLabel",
            "ParticipantCallStatus", "ReasonParticipantLeft", "CallSidEndingConference", "ParticipantLabelEndingConference",
            "ReasonConferenceEnded", "Reason", "AnnounceUrl", "ReasonAnnouncementFailed",
        ])
    },
    kind("recording-status", &[
        "AccountSid", "CallSid", "ConferenceSid", "RecordingSid", "RecordingUrl", "RecordingStatus",
        "RecordingDuration", "RecordingChannels", "RecordingStartTime", "RecordingSource", "RecordingTrack", "ErrorCode",
    ]),
];

/// Returns which of them a request is, by the names of its fields; none where it tells nothing, as for a sound.
pub fn kind_of(names: &[&str]) -> Option<&'static Callback> {
    const BY: &[(&str, &str)] = &[
        ("StatusCallbackEvent", "conference-status"),
        ("CallbackSource", "call-status"),
        ("RecordingStatus", "recording-status"),
        ("MachineDetectionDuration", "amd-status"),
        ("DialCallStatus", "dial"),
        ("QueueResult", "enqueue"),
        ("UnstableSpeechResult", "gather-partial"),
        ("QueueSid", "queue"),
        ("ErrorUrl", "fallback"),
        ("FinishedOnKey", "gather"),
        ("SpeechResult", "gather"),
        ("RecordingSid", "record"),
        ("ConferenceSid", "wait"),
        ("CallSid", "call"),
    ];
    let (_, found) = BY.iter().find(|(field, _)| names.contains(field))?;
    CALLBACKS.iter().find(|callback| callback.name == *found)
}
