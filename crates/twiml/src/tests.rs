mod machine;
mod recording;

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
        Verb::Dial(dial) => match dial.noun {
            Noun::Conference(conference) => *conference,
            noun => panic!("{noun:?}"),
        },
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
        (r#"Muted="true""#, 12200),
        (r#"record="perhaps""#, 12200),
        (r#"recordingStatusCallbackEvent="begun""#, 12200),
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
        ..Dial::conference("x")
    };
    assert_eq!(check(body, &[]), [Verb::Dial(Box::new(dial))]);
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
fn a_bad_value_of_dial_is_warned_of_under_its_code() {
    for (attribute, code) in [
        (r#"method="FETCH""#, 13210),
        (r#"timeout="-1""#, 13212),
        (r#"hangupOnStar="star""#, 13213),
        (r#"timeLimit="0""#, 13216),
        (r#"record="always""#, 13217),
        (r#"sequential="1""#, 13218),
        (r#"answerOnBridge="no""#, 13219),
    ] {
        let body = format!("<Dial {attribute}><Conference>x</Conference></Dial>");
        let dial = Verb::Dial(Box::new(Dial::conference("x")));
        assert_eq!(check(&body, &[code]), [dial], "{attribute}");
    }
    let mixed = "<Dial><Number>+15551234</Number><Conference>x</Conference></Dial>";
    assert_eq!(check(mixed, &[13000]), [Verb::Dial(Box::new(Dial::conference("x")))]);
}

#[test]
fn a_bad_value_of_another_verb_is_warned_of_under_its_code() {
    for (body, code) in [
        (r#"<Play loop="x">http://h/a</Play>"#, 13410),
        (r#"<Play digits="5!">http://h/a</Play>"#, 13430),
        (r#"<Say loop="-1">x</Say>"#, 13510),
        (r#"<Say language="english please">x</Say>"#, 13511),
        (r#"<Say voice="robot">x</Say>"#, 13512),
        (r#"<Pause length="-1"/>"#, 13910),
        (r#"<Redirect method="x">y</Redirect>"#, 13710),
        (r#"<Reject reason="tired"/>"#, 13810),
    ] {
        assert_eq!(check(body, &[code]).len(), 1, "{body}");
    }
    let long = format!("<Say>{}</Say>", "a".repeat(4_097));
    let long_for_polly = format!("<Say voice=\"Polly.Amy\">{}</Say>", "a".repeat(3_001));
    for (body, code) in [(long, 13521), (long_for_polly, 13521), ("<Say> </Say>".to_owned(), 13520)]
    {
        assert_eq!(check(&body, &[code]), []);
    }
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

fn plain(text: &str, rate: f32, pitch: f32, volume: f32) -> Segment {
    Segment::Text { text: text.to_owned(), rate, pitch, volume }
}

/// Compares the segments of one `<Say>`.
#[track_caller]
fn say(inside: &str, segments: &[Segment]) {
    let say = Say {
        voice: "man".to_owned(),
        language: String::new(),
        loops: 1,
        segments: segments.to_vec(),
    };
    assert_eq!(check(&format!("<Say>{inside}</Say>"), &[]), [Verb::Say(say)], "{inside}");
}

#[test]
fn say_reads_prosody_and_speaks_unknown_parts_plainly() {
    say(
        r#"Hello <prosody rate="50%" pitch="+20%">slow</prosody><break time="250ms"/>
           <say-as interpret-as="date">now</say-as>"#,
        &[
            plain("Hello", 1.0, 1.0, 1.0),
            plain("slow", 0.5, 1.2, 1.0),
            Segment::Break(Duration::from_millis(250)),
            plain("now", 1.0, 1.0, 1.0),
        ],
    );
    say(
        r#"<emphasis level="strong">so</emphasis><prosody volume="silent">not</prosody>"#,
        &[plain("so", 0.8, 1.0, 1.4), plain("not", 1.0, 1.0, 0.0)],
    );
    let whole = r#"a <w role="x">b</w> <phoneme ph="k">c</phoneme> <lang xml:lang="fr">d</lang>"#;
    say(whole, &[plain("a b c d", 1.0, 1.0, 1.0)]);
}

#[test]
fn what_is_to_be_spelled_is_spelled() {
    for (kind, text, spelled) in [
        ("characters", "aB 1", "a, B, 1"),
        ("spell-out", "é", "é"),
        ("digits", "12 345a", "1 2 3 4 5a"),
        ("telephone", "+1 (555) 010-02", "+1, 5 5 5, 0 1 0, 0 2"),
        ("ordinal", "3", "3"),
    ] {
        say(
            &format!("<say-as interpret-as=\"{kind}\">{text}</say-as>"),
            &[plain(spelled, 1.0, 1.0, 1.0)],
        );
    }
    say(r#"<sub alias="World Wide Web">WWW</sub>"#, &[plain("World Wide Web", 1.0, 1.0, 1.0)]);
}

#[test]
fn later_verbs_are_known_and_unknown_ones_skipped() {
    let verbs = check("<Connect/><Dance/><Dial><Sim>a</Sim></Dial><Hangup/>", &[12200]);
    let not_built = |name: &str| Verb::NotBuilt { name: name.to_owned() };
    assert_eq!(verbs, [not_built("Connect"), not_built("Dial><Sim"), Verb::Hangup]);
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

/// Documents that are small, or look small, and cost much where they are not refused.
fn bombs() -> Vec<(String, String)> {
    let inside =
        |name: &str, body: String| (name.to_owned(), format!("<Response>{body}</Response>"));
    let whole = |name: &str, text: String| (name.to_owned(), text);
    let many =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<String>();
    let entities =
        many(9, &|n| format!("<!ENTITY e{} \"{}\">", n + 1, format!("&e{n};").repeat(10)));
    let doctype = |rest: &str| format!("<!DOCTYPE r [{rest}]><Response><Say>&e9;</Say></Response>");
    let mut bombs = vec![
        whole("a billion laughs", doctype(&format!("<!ENTITY e0 \"ha\">{entities}"))),
        whole("an entity of itself", doctype("<!ENTITY e9 \"&e9;\">")),
        whole("a file as an entity", doctype("<!ENTITY e9 SYSTEM \"file:///etc/passwd\">")),
        whole("a parameter entity", doctype("<!ENTITY % e9 \"x\"> %e9;")),
        whole(
            "a document type elsewhere",
            "<!DOCTYPE r SYSTEM \"http://h/x.dtd\"><Response/>".to_owned(),
        ),
        whole("a document type alone", "<!DOCTYPE Response>".to_owned()),
        whole(
            "an endless document type",
            format!("<!DOCTYPE r [{}", "<!ELEMENT a ANY>".repeat(3_000)),
        ),
        inside("an unknown entity", "<Say>&nbsp;</Say>".to_owned()),
        inside("a letter that is none", "<Say>&#0;</Say>".to_owned()),
        inside("100 MB of text", "a".repeat(100_000_000)),
        inside("text just over the limit", "a".repeat(SIZE_MAX)),
        inside(
            "a million attributes",
            format!("<Say {}/>", many(1_000_000, &|n| format!("a{n}='' "))),
        ),
        inside("65 attributes", format!("<Say {}/>", many(65, &|n| format!("a{n}='' ")))),
        inside("the same attribute often", format!("<Say {}/>", "a='' ".repeat(9_000))),
        inside("attributes without values", format!("<Say {}/>", "a ".repeat(30_000))),
        inside("a long attribute", format!("<Say a='{}'/>", "=".repeat(70_000))),
        inside(
            "many namespaces",
            format!("<Say {}/>", many(3_000, &|n| format!("xmlns:a{n}='u' "))),
        ),
        inside("1,001 elements", "<Hangup/>".repeat(1_001)),
        inside("elements inside text", format!("<Say>{}</Say>", "a<b/>".repeat(5_000))),
        inside("an open comment", format!("<!--{}", "-".repeat(60_000))),
        inside("an open section", format!("<![CDATA[{}", "]".repeat(60_000))),
        inside("an open instruction", format!("<?x {}", "?".repeat(60_000))),
        inside("an open tag", "<Say".to_owned()),
        inside("an open quote", format!("<Say a='{}", ">".repeat(60_000))),
        inside("signs of less", "<".repeat(60_000)),
        inside("open tags without names", "<>".repeat(30_000)),
        whole(
            "an instruction of its own kind",
            "<?xml version='9.9' encoding='ebcdic'?><Response>".to_owned(),
        ),
        whole("two documents", "<Response/>".repeat(500)),
        whole("an end without a beginning", "</Response>".repeat(5_000)),
    ];
    for depth in [33, 1_000, 10_000] {
        let open = "<Say>".repeat(depth);
        bombs.push(inside(&format!("{depth} deep, open"), open.clone()));
        bombs.push(inside(&format!("{depth} deep"), open + &"</Say>".repeat(depth)));
    }
    bombs
}

#[test]
fn every_bomb_is_refused() {
    let bombs = bombs();
    assert!(bombs.len() >= 30);
    for (name, text) in bombs {
        let error = parse(&text).expect_err(&name);
        assert!([11750, 12100].contains(&error.code), "{name}: {error}");
        assert!(error.message.len() < 1_000, "{name}: the message is as long as the bomb");
    }
}

#[test]
fn what_is_just_within_the_limits_is_read() {
    let attributes: String = (0..64).map(|n| format!("a{n}='x=y' ")).collect();
    for body in [
        "<Hangup/>".repeat(NODES_MAX as usize - 1),
        format!("<Say {attributes}>x</Say>"),
        "<Say>".repeat(DEPTH_MAX as usize - 1) + "x" + &"</Say>".repeat(DEPTH_MAX as usize - 1),
        format!("<Say>x</Say><!--{}-->", "<".repeat(60_000)),
        "<Say><![CDATA[<Say><Say>]]></Say>".to_owned(),
    ] {
        let document = parse(&format!("<Response>{body}</Response>")).expect("read");
        assert!(!document.verbs.is_empty());
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

#[test]
fn a_gather_has_its_attributes_and_holds_prompts() {
    let gather = |body: &str, warnings: &[u32]| match check(body, warnings).remove(0) {
        Verb::Gather(gather) => *gather,
        verb => panic!("{verb:?}"),
    };
    let plain = Gather {
        action: None,
        method: "POST".to_owned(),
        dtmf: true,
        speech: false,
        speech_timeout: Some(Duration::from_secs(5)),
        max_speech_time: Duration::from_secs(60),
        barge_in: true,
        language: "en-US".to_owned(),
        hints: String::new(),
        speech_model: "default".to_owned(),
        enhanced: false,
        partial_result_callback: None,
        partial_result_callback_method: "POST".to_owned(),
        timeout: Duration::from_secs(5),
        finish_on_key: Some('#'),
        num_digits: DIGITS_MAX,
        action_on_empty_result: false,
        prompts: Vec::new(),
    };
    assert_eq!(gather("<Gather/>", &[]), plain);
    let all = r#"<Gather action=" /a " method="get" input="dtmf speech" timeout="2" finishOnKey=""
        numDigits="4" actionOnEmptyResult="true" language="de-DE" hints="a" speechTimeout="auto"
        maxSpeechTime="9" speechModel="x" enhanced="true" profanityFilter="false" bargeIn="true"
        partialResultCallback="/p" partialResultCallbackMethod="GET"
        ><Pause/><Play>a.wav</Play></Gather>"#;
    let read = gather(all, &[]);
    assert!(matches!(read.prompts[..], [Verb::Pause { .. }, Verb::Play(_)]));
    assert_eq!(
        Gather { prompts: Vec::new(), ..read },
        Gather {
            action: Some("/a".to_owned()),
            method: "GET".to_owned(),
            speech: true,
            speech_timeout: None,
            max_speech_time: Duration::from_secs(9),
            language: "de-DE".to_owned(),
            hints: "a".to_owned(),
            speech_model: "x".to_owned(),
            enhanced: true,
            partial_result_callback: Some("/p".to_owned()),
            partial_result_callback_method: "GET".to_owned(),
            timeout: Duration::from_secs(2),
            finish_on_key: None,
            num_digits: 4,
            action_on_empty_result: true,
            ..plain.clone()
        }
    );
    let wrong = r#"<Gather method="x" input="eyes" timeout="-1" finishOnKey="12" numDigits="0"
        actionOnEmptyResult="x" profanityFilter="x" bargeIn="x" partialResultCallbackMethod="x"
        speechTimeout="0" maxSpeechTime="61" colour="x"><Hangup/></Gather>"#;
    let codes =
        [12200, 13326, 13310, 13333, 13313, 13327, 13328, 13329, 13312, 13332, 13314, 13338, 13320];
    assert_eq!(gather(wrong, &codes), plain);
}

fn callees(body: &str, warnings: &[u32]) -> Vec<Callee> {
    match check(body, warnings).remove(0) {
        Verb::Dial(dial) => match dial.noun {
            Noun::Callees(callees) => callees,
            noun => panic!("{noun:?}"),
        },
        verb => panic!("{verb:?}"),
    }
}

#[test]
fn phones_are_dialled_by_number_address_and_name() {
    let at = |kind, address: &str| Callee::at(kind, address.to_owned());
    let number = |address| vec![at(CalleeKind::Number, address)];
    assert_eq!(callees("<Dial>+1 (415) 555-1212</Dial>", &[]), number("+14155551212"));
    assert_eq!(callees("<Dial> bob </Dial>", &[]), number("bob"));
    assert_eq!(callees("<Dial/>", &[]), []);
    let all = "<Dial><Number>415.555.1212</Number><Sip>sips:a@b;transport=tcp?X-A=1</Sip>
               <Client>carol</Client><Client><Identity>dave</Identity></Client>
               <Application><ApplicationSid>AP1</ApplicationSid><Parameter name='a' value='b'/>
               </Application></Dial>";
    let kinds = [
        at(CalleeKind::Number, "4155551212"),
        at(CalleeKind::Sip, "sips:a@b;transport=tcp?X-A=1"),
        at(CalleeKind::Client, "client:carol"),
        at(CalleeKind::Client, "client:dave"),
        Callee {
            parameters: vec![("a".to_owned(), "b".to_owned())],
            ..at(CalleeKind::Application, "app:AP1")
        },
    ];
    assert_eq!(callees(all, &[]), kinds);
    let wrong = "<Dial><Sip>http://a</Sip><Number> </Number><Fax>1</Fax><Client/></Dial>";
    assert_eq!(callees(wrong, &[13243, 13223, 13215, 13215]), []);
    let eleven = format!("<Dial>{}</Dial>", "<Number>1</Number>".repeat(11));
    assert_eq!(callees(&eleven, &[13250]).len(), CALLEES_MAX);
}

#[test]
fn a_phone_has_its_attributes() {
    let body = r#"<Dial><Sip url="/w" method="get" sendDigits="1w#" statusCallback="/s"
        statusCallbackMethod="GET" statusCallbackEvent="ringing, answered ringing" username="u"
        password="p">sip:a@b</Sip></Dial>"#;
    let read = Callee {
        send_digits: Some("1w#".to_owned()),
        url: Some("/w".to_owned()),
        method: "GET".to_owned(),
        status_callback: Some("/s".to_owned()),
        status_callback_method: "GET".to_owned(),
        status_callback_events: vec!["ringing".to_owned(), "answered".to_owned()],
        credentials: Some(("u".to_owned(), "p".to_owned())),
        ..Callee::at(CalleeKind::Sip, "sip:a@b".to_owned())
    };
    assert_eq!(callees(body, &[]), [read]);
    let wrong = r#"<Dial><Number method="x" sendDigits="x" statusCallbackEvent="x" colour="x"
        >1</Number></Dial>"#;
    let plain = Callee::at(CalleeKind::Number, "1".to_owned());
    assert_eq!(callees(wrong, &[12200, 13222, 13221, 12200]), [plain]);
}

#[test]
fn a_dial_of_phones_has_its_attributes() {
    let read = |attributes: &str, warnings: &[u32]| match check(
        &format!("<Dial {attributes}>1</Dial>"),
        warnings,
    )
    .remove(0)
    {
        Verb::Dial(dial) => *dial,
        verb => panic!("{verb:?}"),
    };
    let noun = Noun::Callees(vec![Callee::at(CalleeKind::Number, "1".to_owned())]);
    let all = r#"timeout="9" callerId=" +15551234 " answerOnBridge="true" ringTone="de"
        sequential="true""#;
    let dial = Dial {
        timeout: Duration::from_secs(9),
        caller_id: Some("+15551234".to_owned()),
        answer_on_bridge: true,
        ring_tone: Some("de".to_owned()),
        sequential: true,
        ..Dial::to(noun.clone())
    };
    assert_eq!(read(all, &[]), dial);
    let wrong = r#"timeout="0" answerOnBridge="x" ringTone="xx" sequential="x""#;
    assert_eq!(read(wrong, &[13212, 13219, 13220, 13218]), Dial::to(noun));
}

#[test]
fn a_queue_is_dialled_alone() {
    let body = "<Dial><Queue url='/w' method='GET'> support </Queue><Number>1</Number></Dial>";
    let queue =
        Queue { name: "support".to_owned(), url: Some("/w".to_owned()), method: "GET".to_owned() };
    let dial = Dial::to(Noun::Queue(queue));
    assert_eq!(check(body, &[13215]), [Verb::Dial(Box::new(dial))]);
}

#[test]
fn a_queue_is_entered_and_left() {
    let body = r#"<Enqueue action="/a" method="get" waitUrl="/w" waitUrlMethod="GET"
        maxQueueSize="9"> support </Enqueue><Leave/>"#;
    let enqueue = Enqueue {
        name: "support".to_owned(),
        action: Some("/a".to_owned()),
        method: "GET".to_owned(),
        wait_url: Some("/w".to_owned()),
        wait_url_method: "GET".to_owned(),
        max_queue_size: Some(9),
        workflow_sid: None,
    };
    assert_eq!(check(body, &[]), [Verb::Enqueue(Box::new(enqueue)), Verb::Leave]);
    let body = r#"<Enqueue method="x" waitUrlMethod="x" maxQueueSize="0" workflowSid="WW1"
        ><Task>{}</Task></Enqueue>"#;
    let plain = Enqueue {
        name: String::new(),
        action: None,
        method: "POST".to_owned(),
        wait_url: None,
        wait_url_method: "POST".to_owned(),
        max_queue_size: None,
        workflow_sid: Some("WW1".to_owned()),
    };
    assert_eq!(check(body, &[14201, 14206, 12200]), [Verb::Enqueue(Box::new(plain))]);
}
