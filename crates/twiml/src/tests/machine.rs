use std::time::Duration;

use model::MachineDetection;

use crate::{Noun, Verb, parse};

#[test]
fn a_noun_says_how_it_is_found_out_who_has_answered_and_who_is_told() {
    let text = "<Response><Dial>\
        <Number machineDetection='DetectMessageEnd' machineDetectionTimeout='20' \
         machineDetectionSpeechThreshold='1500' machineDetectionSpeechEndThreshold='600' \
         machineDetectionSilenceTimeout='3000' amdStatusCallback='/amd' amdStatusCallbackMethod='GET'>\
         +15550100</Number>\
        <Sip machineDetection='Enable' machineDetectionTimeout='60'>sip:a@example.com</Sip>\
        </Dial></Response>";
    let document = parse(text).unwrap();
    let Verb::Dial(dial) = &document.verbs[0] else { panic!("{document:?}") };
    let Noun::Callees(callees) = &dial.noun else { panic!("{dial:?}") };
    let limits = MachineDetection {
        message_end: true,
        timeout: Duration::from_secs(20),
        speech_threshold: Duration::from_millis(1_500),
        speech_end_threshold: Duration::from_millis(600),
        silence_timeout: Duration::from_secs(3),
    };
    assert_eq!(callees[0].machine, Some(limits));
    assert_eq!(callees[0].amd_callback.as_deref(), Some("/amd"));
    assert_eq!(callees[0].amd_callback_method, "GET");
    // A minute is too long: the default holds, and the document says so.
    assert_eq!(callees[1].machine, Some(MachineDetection::default()));
    assert!(document.warnings.iter().any(|told| told.message.contains("machineDetectionTimeout")));
}
