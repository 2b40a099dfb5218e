//! How conferences, dials and messages are recorded.

use super::*;

#[test]
fn a_conference_says_how_it_is_recorded() {
    let quiet = r#"recordingStatusCallback="http://r/" trim="do-not-trim" record="do-not-record""#;
    assert_eq!(conference(quiet, &[]), Conference::named("Room 1"));
    let plain = conference(r#"record="record-from-start""#, &[]).recording.unwrap();
    assert!(plain.trim && plain.status_callback.is_none());
    assert_eq!(plain.status_callback_method, "POST");
    let loud = r#"recordingStatusCallback=" http://r/ " recordingStatusCallbackMethod="get"
        recordingStatusCallbackEvent="in-progress, absent absent" trim="do-not-trim" record="true""#;
    let expected = Recording {
        tracks: false,
        trim: false,
        status_callback: Some("http://r/".to_owned()),
        status_callback_method: "GET".to_owned(),
        status_callback_events: vec!["in-progress".to_owned(), "absent".to_owned()],
    };
    assert_eq!(conference(loud, &[]).recording, Some(expected));
}

#[test]
fn a_message_is_recorded_as_its_attributes_say() {
    let verbs = check("<Record/>", &[]);
    let [Verb::Record(record)] = &verbs[..] else { panic!("{verbs:?}") };
    let seconds = Duration::from_secs;
    assert_eq!((record.timeout, record.max_length), (seconds(5), seconds(3_600)));
    assert_eq!((&*record.finish_on_key, record.play_beep), ("1234567890*#", true));
    assert!(record.action.is_none() && record.recording.trim);
    let body = r#"<Record action="/a" method="get" timeout="9" maxLength="99999999" playBeep="false"
        finishOnKey="" trim="do-not-trim" recordingStatusCallback="/r"/>"#;
    let verbs = check(body, &[]);
    let [Verb::Record(record)] = &verbs[..] else { panic!("{verbs:?}") };
    assert_eq!((record.timeout, record.max_length), (seconds(9), seconds(86_400)));
    assert_eq!((&*record.finish_on_key, record.play_beep), ("", false));
    assert_eq!((record.action.as_deref(), &*record.method), (Some("/a"), "GET"));
    assert!(!record.recording.trim && record.recording.status_callback.is_some());
    for (attribute, code) in [
        (r#"method="FETCH""#, 13610),
        (r#"timeout="0""#, 13611),
        (r#"maxLength="long""#, 13612),
        (r#"finishOnKey="A""#, 13613),
        (r#"transcribe="true""#, 12200),
        (r#"trim="all""#, 12200),
    ] {
        assert_eq!(check(&format!("<Record {attribute}/>"), &[code]), check("<Record/>", &[]));
    }
}

#[test]
fn start_and_stop_hold_a_recording_or_what_is_not_built() {
    let start =
        r#"<Start><Recording channels="dual" track="inbound" trim="trim-silence"/></Start>"#;
    let verbs = check(start, &[]);
    let [Verb::StartRecording(start)] = &verbs[..] else { panic!("{verbs:?}") };
    assert_eq!((start.channels, &*start.track, start.recording.trim), (2, "inbound", true));
    assert_eq!(check("<Stop><Recording/></Stop>", &[]), [Verb::StopRecording]);
    for (body, name) in [
        ("<Start><Stream url='wss://x'/></Start>", "Start><Stream"),
        ("<Stop><Siprec/></Stop>", "Stop><Siprec"),
        ("<Stop/>", "Stop"),
    ] {
        assert_eq!(check(body, &[]), [Verb::NotBuilt { name: name.to_owned() }]);
    }
}

#[test]
fn a_dial_says_from_when_it_is_recorded_and_in_how_many_channels() {
    for (record, expected) in [
        ("do-not-record", None),
        ("false", None),
        ("true", Some((false, 1))),
        ("record-from-answer", Some((false, 1))),
        ("record-from-ringing", Some((true, 1))),
        ("record-from-answer-dual", Some((false, 2))),
        ("record-from-ringing-dual", Some((true, 2))),
    ] {
        let body = format!("<Dial record='{record}' recordingTrack='inbound'>+15551234</Dial>");
        let verbs = check(&body, &[]);
        let [Verb::Dial(dial)] = &verbs[..] else { panic!("{verbs:?}") };
        let read = dial.recording.as_ref();
        assert_eq!(read.map(|read| (read.from_ringing, read.channels)), expected, "{record}");
        assert!(read.is_none_or(|read| read.track == "inbound" && read.recording.trim));
    }
}

#[test]
fn an_event_that_there_is_not_has_a_code_of_its_own_where_a_message_is_recorded() {
    check(r#"<Record recordingStatusCallbackEvent="completed gone"/>"#, &[13621]);
    conference(r#"record="true" recordingStatusCallbackEvent="gone""#, &[12200]);
    let tracks = conference(r#"record="true" sidetoneTracks="participants""#, &[]);
    assert!(tracks.recording.unwrap().tracks);
    assert!(
        !conference(r#"record="true" sidetoneTracks="all""#, &[12200]).recording.unwrap().tracks
    );
    conference(r#"sidetoneTracks="participants""#, &[12200]);
}
