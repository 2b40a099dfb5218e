use std::time::Duration;

use super::*;

/// Reads `body` as the inside of a `<Response>` and compares the codes of its warnings.
#[track_caller]
fn check(body: &str, warnings: &[u32]) -> Vec<Verb> {
    let document = parse(&format!("<Response>{body}</Response>")).expect("TwiML");
    let codes: Vec<u32> = document.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, warnings, "{:?}", document.warnings);
    document.verbs
}

#[track_caller]
fn conference(attributes: &str, warnings: &[u32]) -> Conference {
    let body = format!("<Dial><Conference {attributes}> Room 1 \n</Conference></Dial>");
    match check(&body, warnings).remove(0) {
        Verb::Dial(dial) => dial.noun,
        verb => panic!("{verb:?}"),
    }
}

#[test]
fn white_space_around_a_name_is_not_part_of_it() {
    assert_eq!(conference("", &[]), Conference::named("Room 1"));
}

#[test]
fn each_attribute_of_a_conference_is_read() {
    let read = conference(
        r#"muted="true" beep="onExit" startConferenceOnEnter="FALSE" endConferenceOnExit="true"
           participantLabel="a b" jitterBufferSize="small" waitUrl="" waitMethod="get"
           maxParticipants="3" coach="CA1" statusCallback="/cb" statusCallbackMethod="GET"
           statusCallbackEvent="join, leave,mute join" region="ie1""#,
        &[],
    );
    let events = [ConferenceEvent::Join, ConferenceEvent::Leave, ConferenceEvent::Mute];
    assert_eq!(
        read,
        Conference {
            muted: true,
            beep: Beep::OnExit,
            start_conference_on_enter: false,
            end_conference_on_exit: true,
            participant_label: Some("a b".to_owned()),
            jitter_buffer_size: Some("small".to_owned()),
            wait_url: Some(String::new()),
            wait_method: "GET".to_owned(),
            max_participants: 3,
            coach: Some("CA1".to_owned()),
            status_callback_events: events.to_vec(),
            status_callback: Some("/cb".to_owned()),
            status_callback_method: "GET".to_owned(),
            region: Some("ie1".to_owned()),
            ..Conference::named("Room 1")
        }
    );
}

#[test]
fn a_bad_value_is_warned_of_under_its_code_and_the_default_taken() {
    for (attribute, code) in [
        (r#"muted="perhaps""#, 13230),
        (r#"endConferenceOnExit="1""#, 13231),
        (r#"startConferenceOnEnter="""#, 13232),
        (r#"waitMethod="FETCH""#, 13234),
        (r#"beep="on""#, 13235),
        (r#"maxParticipants="251""#, 12200),
        (r#"statusCallbackEvent="speaking""#, 12200),
        (r#"jitterBufferSize="huge""#, 12200),
        (r#"colour="red""#, 12200),
        (r#"record="record-from-start""#, 12200),
        (r#"record="perhaps""#, 12200),
        (r#"trim="all""#, 13239),
        (r#"region="mars""#, 12200),
    ] {
        assert_eq!(conference(attribute, &[code]), Conference::named("Room 1"), "{attribute}");
    }
}

#[test]
fn dial_keeps_its_own_attributes() {
    let body = r#"<Dial action="/next" method="get" timeLimit="60" hangupOnStar="true">
                  <Conference>x</Conference></Dial>"#;
    let dial = Dial {
        action: Some("/next".to_owned()),
        method: "GET".to_owned(),
        time_limit: Some(Duration::from_secs(60)),
        hangup_on_star: true,
        noun: Conference::named("x"),
    };
    assert_eq!(check(body, &[]), [Verb::Dial(Box::new(dial))]);
}

#[test]
fn recording_is_reported_once_where_it_is_asked_for() {
    let quiet = r#"recordingStatusCallback="http://r/" trim="do-not-trim" record="do-not-record""#;
    assert_eq!(conference(quiet, &[]), Conference::named("Room 1"));
    let loud = r#"recordingStatusCallback="http://r/" trim="do-not-trim" record="true""#;
    assert_eq!(conference(loud, &[12200]), Conference::named("Room 1"));
    for (record, warnings) in [("false", &[][..]), ("true", &[12200]), ("always", &[13217])] {
        check(&format!("<Dial record='{record}'><Conference>x</Conference></Dial>"), warnings);
    }
}

#[test]
fn no_time_limit_is_longer_than_a_day() {
    let limit = u64::MAX;
    let body = format!("<Dial timeLimit='{limit}'><Conference>x</Conference></Dial>");
    let verbs = check(&body, &[]);
    let Verb::Dial(dial) = &verbs[0] else { panic!("{verbs:?}") };
    assert_eq!(dial.time_limit, Some(Duration::from_secs(86_400)));
}

#[test]
fn the_plain_verbs_are_read() {
    let verbs = check(
        r#"<Play loop="0">http://a/b.wav</Play><Play digits="1w2"/><Pause length="3"/>
           <Redirect method="GET">next</Redirect><Redirect/><Reject reason="busy"/><Hangup/>"#,
        &[],
    );
    let play = |url: Option<&str>, digits: Option<&str>, loops| {
        Verb::Play(Play { url: url.map(str::to_owned), digits: digits.map(str::to_owned), loops })
    };
    let redirect =
        |url: &str, method: &str| Verb::Redirect { url: url.to_owned(), method: method.to_owned() };
    assert_eq!(
        verbs,
        [
            play(Some("http://a/b.wav"), None, LOOPS_MAX),
            play(None, Some("1w2"), 1),
            Verb::Pause { length: Duration::from_secs(3) },
            redirect("next", "GET"),
            redirect("", "POST"),
            Verb::Reject { busy: true },
            Verb::Hangup,
        ]
    );
}

#[test]
fn say_reads_prosody_and_speaks_unknown_parts_plainly() {
    let verbs = check(
        r#"<Say voice="alice" language="en-GB" loop="2">Hello <prosody rate="50%" pitch="+20%">slow
           </prosody><break time="250ms"/><say-as interpret-as="date">now</say-as></Say>"#,
        &[],
    );
    let text =
        |text: &str, rate, pitch| Segment::Text { text: text.to_owned(), rate, pitch, volume: 1.0 };
    let segments = vec![
        text("Hello", 1.0, 1.0),
        text("slow", 0.5, 1.2),
        Segment::Break(Duration::from_millis(250)),
        text("now", 1.0, 1.0),
    ];
    let say = Say { voice: "alice".to_owned(), language: "en-GB".to_owned(), loops: 2, segments };
    assert_eq!(verbs, [Verb::Say(say)]);
}

#[test]
fn later_verbs_are_known_and_unknown_ones_skipped() {
    let verbs = check("<Gather/><Dance/><Dial><Sip>sip:a@b</Sip></Dial><Hangup/>", &[12200]);
    let not_built = |name: &str| Verb::NotBuilt { name: name.to_owned() };
    assert_eq!(verbs, [not_built("Gather"), not_built("Dial><Sip"), Verb::Hangup]);
}

#[test]
fn what_is_no_document_is_refused_under_its_code() {
    let bomb = format!("<Response>{}</Response>", "<Say>".repeat(10_000));
    let wide = format!("<Response>{}</Response>", "<Hangup/>".repeat(2_000));
    let many =
        (0..2_000).fold(String::from("<Response><Say"), |text, n| text + &format!(" a{n}=''"));
    let large = format!("<Response><Say>{}</Say></Response>", "a".repeat(SIZE_MAX));
    for (text, code) in [
        ("", 11770),
        ("  \n", 11770),
        ("hello", 12100),
        ("<Response>", 12100),
        ("<Response><Say>a</Play></Response>", 12100),
        ("<response/>", 12102),
        ("<html><body/></html>", 12102),
        ("<!DOCTYPE r [<!ENTITY a \"b\">]><Response><Say>&a;</Say></Response>", 12100),
        ("<Response/><Response/>", 12100),
        (bomb.as_str(), 12100),
        (wide.as_str(), 12100),
        (many.as_str(), 12100),
        (large.as_str(), 11750),
    ] {
        let error = parse(text).expect_err("refused");
        assert_eq!(error.code, code, "{}", &text[..text.len().min(60)]);
    }
}

#[test]
fn relative_addresses_are_relative_to_the_document() {
    let base = "http://host:8080/a/b?c=d";
    for (reference, absolute) in [
        ("next", Some("http://host:8080/a/next")),
        ("/next?x=y", Some("http://host:8080/next?x=y")),
        (" https://Other/x ", Some("https://Other/x")),
        ("ftp://host/x", None),
        ("mailto:x", None),
    ] {
        assert_eq!(resolve(base, reference).ok().as_deref(), absolute, "{reference}");
    }
    assert_eq!(resolve("", "next"), Err(UrlError));
}

#[test]
fn a_label_keeps_the_rules() {
    let long = "a".repeat(label::LENGTH_MAX + 1);
    for (text, result) in [
        ("agent 7", Ok(())),
        ("", Err(label::LabelError::Empty)),
        (long.as_str(), Err(label::LabelError::TooLong)),
        ("CA0123456789abcdef0123456789abcdef", Err(label::LabelError::LooksLikeCallSid)),
        ("a/b", Err(label::LabelError::Slash)),
        ("a%2Fb", Err(label::LabelError::Slash)),
    ] {
        assert_eq!(label::check(text), result, "{text}");
    }
}
