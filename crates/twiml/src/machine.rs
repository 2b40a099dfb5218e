//! How a noun of a `<Dial>` says that it is to be found out who has answered.
//!
//! Source: Twilio, TwiML `<Number>`, `machineDetection`.

use std::ops::RangeInclusive;
use std::time::Duration;

use model::MachineDetection;
use roxmltree::Node;

use crate::document::Reader;

/// Reads the attributes; nothing where `machineDetection` is absent.
pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Option<MachineDetection> {
    let message_end =
        reader.attribute(node, "machineDetection", 12200, None, |word| match word {
            "Enable" => Some(Some(false)),
            "DetectMessageEnd" => Some(Some(true)),
            _ => None,
        })?;
    let mut number = |name: &str, range: RangeInclusive<u64>, unit_ms: u64, default: Duration| {
        reader.attribute(node, name, 12200, default, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number))?;
            Some(Duration::from_millis(number * unit_ms))
        })
    };
    type Limits = MachineDetection;
    let limits = Limits::default();
    Some(MachineDetection {
        message_end,
        timeout: number("machineDetectionTimeout", Limits::TIMEOUT_S, 1_000, limits.timeout),
        speech_threshold: number(
            "machineDetectionSpeechThreshold",
            Limits::SPEECH_MS,
            1,
            limits.speech_threshold,
        ),
        speech_end_threshold: number(
            "machineDetectionSpeechEndThreshold",
            Limits::SPEECH_END_MS,
            1,
            limits.speech_end_threshold,
        ),
        silence_timeout: number(
            "machineDetectionSilenceTimeout",
            Limits::SILENCE_MS,
            1,
            limits.silence_timeout,
        ),
    })
}
