//! Calls whose sound is encrypted, with baresip at the far end, and with strangers at the port.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use e2e::{Answer, Baresip, Server, hears, level, until};
use media::Header;
use sim::Phone;

/// Strength of every tone.
const AMPLITUDE: f64 = 3_000.0;
/// What baresip says, and what bob says.
const BARESIP: u32 = 500;
const BOB: u32 = 700;
/// What carol says, who is in the clear like bob.
const CAROL: u32 = 900;
/// What a stranger says, who is never heard.
const STRANGER: u32 = 1_300;
/// How many of the phones that a stranger knows of share a room, what it sends in a second to all of them, and for how
/// long.
const ROOM: usize = 4;
const SPRAYED_PER_SECOND: u32 = 1_000;
const SPRAYED: Duration = Duration::from_secs(3);

/// Phones that a stranger knows of; with `SIDETONE_DEEP` as T6 has it.
fn phones_known() -> usize {
    if std::env::var_os("SIDETONE_DEEP").is_some() { 100 } else { 20 }
}

/// Returns the ports of UDP that a server has open.
fn udp_ports(server: &Server) -> Vec<u16> {
    let all = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let names = all.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
    let sockets: BTreeSet<String> =
        names.map(|name| name.to_string_lossy().replace("socket:[", "").replace(']', "")).collect();
    let table = std::fs::read_to_string(format!("/proc/{}/net/udp", server.pid())).unwrap();
    let ports = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = words.get(1)?.split_once(':')?;
        let is_theirs = words.get(9).is_some_and(|socket| sockets.contains(*socket));
        u16::from_str_radix(port, 16).ok().filter(|_| is_theirs)
    });
    ports.collect()
}

/// A stranger's packet of that number: telephone sound, and nothing wrong with it.
fn of_stranger(number: u32, voice: &[i16]) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: 0,
        sequence: number as u16,
        timestamp: number * 160,
        ssrc: 7,
    };
    let said = voice[number as usize * 160 % voice.len()..].iter().take(160);
    let said: Vec<u8> = said.map(|&sample| media::linear_to_ulaw(sample)).collect();
    let mut packet = [0; media::PACKET_MAX];
    let length = header.write(&said, &mut packet);
    packet[..length].to_vec()
}

/// Starts baresip as `alice` at a server, whose sound is encrypted as `mediaenc` has it, or not at all.
fn baresip(server: &str, mediaenc: &str, more: &str, commands: &[String]) -> Baresip {
    let account = format!("<sip:alice@{server}>;regint=60;mediaenc={mediaenc}");
    let more = format!("module srtp.so\n{more}");
    Baresip::start(&account, (BARESIP, AMPLITUDE), &more, commands)
}

async fn listed(server: &Server, path: &str, list: &str) -> usize {
    let Answer { body, .. } = server.get(path).await;
    body[list].as_array().map_or(0, Vec::len)
}

/// Waits until baresip hears a tone, or no longer does.
async fn baresip_hears(baresip: &Baresip, hertz: u32) {
    until(&format!("baresip hears {hertz} Hz; it says {}", baresip.log()), async || {
        let before = baresip.heard().len();
        tokio::time::sleep(Duration::from_millis(400)).await;
        level(&baresip.heard()[before..], hertz) > 500.0
    })
    .await;
}

/// Returns a number of the metrics.
async fn metric(server: &Server, name: &str) -> u64 {
    let (_, text) = server.admin("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(&format!("sidetone_{name} ")));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_calls_in_encrypted_and_strangers_change_nothing() {
    let server = Server::start(&[]).await;
    let call = format!("/dial sip:room@{}", server.sip());
    let baresip = baresip(&server.sip().to_string(), "srtp-mand", "", &[call]);
    let bob = Phone::call(server.sip(), "room", sim::tone(BOB)).unwrap();
    hears(&bob, BARESIP, true).await;
    baresip_hears(&baresip, BOB).await;
    // Whoever knows every port and throws garbage at it is not heard, and draws nothing away; nor at those of other
    // tests that run meanwhile.
    let (first, last) = server.ready("rtp_ports").split_once('-').map(ends).unwrap();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let mut packet = [0xd5; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    for _ in 0..3 {
        for port in first..=last.min(first + 64) {
            let _ = stranger.send_to(&packet, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
    until("they are counted", async || metric(&server, "rtp_unproven_total").await > 0).await;
    hears(&bob, BARESIP, true).await;
    baresip_hears(&baresip, BOB).await;
    assert!(stranger.recv(&mut packet).is_err(), "something was sent to the stranger");
}

fn ends((first, last): (&str, &str)) -> (u16, u16) {
    (first.parse().unwrap(), last.parse().unwrap())
}

/// Lets one more baresip call in. It dials once, as it starts, whether or not it is ready by then.
async fn another(server: &Server) -> Baresip {
    let call = format!("/dial sip:room@{}", server.sip());
    let mut told = String::new();
    for _ in 0..3 {
        let other =
            baresip(&server.sip().to_string(), "srtp-mand", "", std::slice::from_ref(&call));
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if listed(server, "/Calls.json?Status=in-progress", "calls").await == 2 {
                return other;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        told = other.log();
    }
    panic!("baresip does not call in; it says {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_encryption_is_demanded_baresip_is_called_encrypted_and_plain_phones_are_refused() {
    let server = Server::start(&["--srtp", "mandatory"]).await;
    let baresip = baresip(&server.sip().to_string(), "srtp", "", &[]);
    let form = [("To", "client:alice"), ("From", "sidetone"), ("Beep", "false")];
    until("it has registered", async || {
        server.post("/Conferences/room/Participants.json", &form).await.status == 201
    })
    .await;
    until("it is in the room", async || {
        listed(&server, "/Calls.json?Status=in-progress", "calls").await == 1
    })
    .await;
    let refused = Phone::call(server.sip(), "room", sim::tone(BOB)).unwrap();
    assert!(refused.wait_over(Duration::from_secs(30)), "a plain phone was let in");
    let other = another(&server).await;
    baresip_hears(&baresip, BARESIP).await;
    baresip_hears(&other, BARESIP).await;
}

/// Starts a server that speaks TLS, and returns the lines by which baresip believes it.
async fn by_tls(flags: &[&str]) -> (Server, String, String) {
    let flags = [&["--sip-tls", "127.0.0.1:0"], flags].concat();
    let server = Server::start(&flags).await;
    let tls = server.ready("sips_uri").strip_prefix("sips:").unwrap().to_owned();
    let authority = server.data().join("sip-tls.pem");
    (server, tls, format!("sip_cafile {}\n", authority.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_registers_and_calls_by_tls_and_is_called_by_the_same_connection() {
    let (server, tls, believes) = by_tls(&["--srtp", "mandatory"]).await;
    let address = format!("{tls};transport=tls");
    let call = format!("/dial sip:room@{address}");
    let alice = baresip(&address, "srtp-mand", &believes, &[]);
    let form = [("To", "client:alice"), ("From", "sidetone"), ("Beep", "false")];
    until("it has registered", async || {
        server.post("/Conferences/room/Participants.json", &form).await.status == 201
    })
    .await;
    let other = Baresip::start(
        &format!("<sip:other@{address}>;regint=0;mediaenc=srtp-mand"),
        (BOB, AMPLITUDE),
        &format!("module srtp.so\n{believes}"),
        &[call],
    );
    baresip_hears(&alice, BOB).await;
    baresip_hears(&other, BARESIP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_registered_is_called_encrypted_and_refused_without_and_others_are_not() {
    let server = Server::start(&["--users-srtp", "mandatory"]).await;
    let baresip = baresip(&server.sip().to_string(), "srtp-mand", "", &[]);
    let form = [("To", "client:alice"), ("From", "sidetone"), ("Beep", "false")];
    until("it has registered", async || {
        server.post("/Conferences/room/Participants.json", &form).await.status == 201
    })
    .await;
    let bob = Phone::call_as(server.sip(), "room", "bob", sim::tone(BOB)).unwrap();
    hears(&bob, BARESIP, true).await;
    baresip_hears(&baresip, BOB).await;
    let refused = Phone::call_as(server.sip(), "room", "alice", sim::tone(BOB)).unwrap();
    assert!(refused.wait_over(Duration::from_secs(60)), "alice was let in without encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_is_encrypted_or_not_as_is_said_of_it_alone() {
    let flags = ["--users-srtp-mandatory", "alice,bob", "--users-srtp-off", "carol"];
    let server = Server::start(&[&["--srtp", "optional"], &flags[..]].concat()).await;
    let baresip = baresip(&server.sip().to_string(), "srtp-mand", "", &[]);
    let into_room = [("To", "client:alice"), ("From", "sidetone"), ("Beep", "false")];
    until("alice has registered", async || {
        server.post("/Conferences/room/Participants.json", &into_room).await.status == 201
    })
    .await;
    let carol = Phone::call_as(server.sip(), "room", "carol", sim::tone(BOB)).unwrap();
    hears(&carol, BARESIP, true).await;
    baresip_hears(&baresip, BOB).await;
    // Bob has not registered, and is asked no less for the name that it says to have.
    for user in ["alice", "bob"] {
        let refused = Phone::call_as(server.sip(), "room", user, sim::tone(BOB)).unwrap();
        assert!(refused.wait_over(Duration::from_secs(60)), "{user} was let in in the clear");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_registered_may_be_in_the_clear_where_others_may_not() {
    let server = Server::start(&["--srtp", "mandatory", "--users-srtp", "off"]).await;
    let alice = Phone::listen([127, 0, 0, 1].into(), sim::tone(BARESIP)).unwrap();
    assert!(alice.register(server.sip(), "alice", Duration::from_secs(60)), "not registered");
    let form = [("To", "client:alice"), ("From", "sidetone"), ("Beep", "false")];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let again = Phone::call_as(server.sip(), "room", "alice", sim::tone(BOB)).unwrap();
    hears(&again, BARESIP, true).await;
    hears(&alice, BOB, true).await;
    let refused = Phone::call_as(server.sip(), "room", "bob", sim::tone(BOB)).unwrap();
    assert!(refused.wait_over(Duration::from_secs(60)), "bob was let in without encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_be_encrypted_and_cannot_be_is_not_called() {
    let server = Server::start(&["--users-srtp-mandatory", "bob"]).await;
    let bob = Phone::listen([127, 0, 0, 1].into(), sim::tone(BOB)).unwrap();
    assert!(bob.register(server.sip(), "bob", Duration::from_secs(60)), "not registered");
    let form = [("To", "client:bob"), ("From", "sidetone"), ("Beep", "false")];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/Calls/{}.json", made.text("call_sid"));
    until("the call fails", async || server.get(&path).await.text("status") == "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_phones_are_called_in_the_clear_where_all_others_are_not() {
    let server = Server::start(&["--srtp", "mandatory"]).await;
    let form = [("To", "+14155550188"), ("From", "+14155550100"), ("Beep", "false")];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/Calls/{}.json", made.text("call_sid"));
    until("it is answered", async || server.get(&path).await.text("status") == "in-progress").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_the_ports_of_many_plain_calls_is_not_heard_and_is_sent_nothing() {
    let server = Server::start(&[]).await;
    let call = |number: usize| {
        // One in each room talks.
        let voice = if number.is_multiple_of(ROOM) { sim::tone(BOB) } else { vec![0; 160].into() };
        Phone::call(server.sip(), &format!("room{}", number / ROOM), voice).unwrap()
    };
    let count = phones_known();
    let phones: Vec<Phone> = (0..count).map(call).collect();
    let listens = |number: &usize| !number.is_multiple_of(ROOM);
    for number in (0..count).filter(listens) {
        hears(&phones[number], BOB, true).await;
    }
    let ports = udp_ports(&server);
    assert!(ports.len() > 2 * count, "two for each call, and SIP's: {ports:?}");
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    phones.iter().for_each(Phone::forget);
    let (voice, began, mut sent) = (sim::tone(STRANGER), Instant::now(), 0);
    while began.elapsed() < SPRAYED {
        let due = began.elapsed().as_millis() as u32 * SPRAYED_PER_SECOND / 1_000;
        for number in sent..due {
            let (round, which) = (number as usize / ports.len(), number as usize % ports.len());
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[which]));
            let _ = stranger.send_to(&of_stranger(round as u32, &voice), to);
        }
        sent = due;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(sent >= SPRAYED_PER_SECOND * 2, "{sent} packets");
    for number in (0..count).filter(listens) {
        let heard = phones[number].heard();
        assert!(heard.len() > 8_000, "{number} heard {} samples", heard.len());
        // Where play-out gives delay back it leaves out or doubles a period, and a long piece cancels itself out.
        let pieces = heard.chunks_exact(800);
        let talked = pieces.clone().filter(|piece| level(piece, BOB) > 500.0).count();
        assert!(talked * 2 > pieces.len(), "{number} no longer hears its room: {talked} pieces");
        // A single packet would be as loud as the voice in a piece of its own length.
        let strange =
            heard.chunks_exact(160).map(|piece| level(piece, STRANGER)).fold(0.0, f64::max);
        assert!(strange < 1_000.0, "{number} hears the stranger: {strange}");
    }
    let mut packet = [0; 2_048];
    // What nobody takes is told as an error; what is sent is none.
    let came = (0..sent).filter(|_| stranger.recv(&mut packet).is_ok()).count();
    assert_eq!(came, 0, "something was sent to the stranger");
    assert_eq!(
        listed(&server, "/Calls.json?Status=in-progress&PageSize=1000", "calls").await,
        count
    );
}

/// What is thrown at one encrypted leg in a second, and for how long; with `SIDETONE_DEEP` as T9 has it.
fn flood() -> (u32, Duration) {
    match std::env::var_os("SIDETONE_DEEP") {
        Some(_) => (20_000, Duration::from_secs(60)),
        None => (2_000, Duration::from_secs(4)),
    }
}

/// Throws so much garbage at ports in turn; returns how much that was.
async fn throw(stranger: &UdpSocket, ports: &[u16], (per_second, lasts): (u32, Duration)) -> u64 {
    let mut packet = [0xd5; 182];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < lasts {
        let due = began.elapsed().as_millis() as u64 * u64::from(per_second) / 1_000;
        for number in sent..due {
            packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
            let port = ports[number as usize % ports.len()];
            let _ = stranger.send_to(&packet, (Ipv4Addr::LOCALHOST, port));
        }
        sent = due;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sent
}

/// Counts the tenths of a second in which a tone is heard, and those in which it is not.
fn tenths(heard: &[i16], hertz: u32) -> (usize, usize) {
    let pieces = heard.chunks_exact(800).map(|piece| level(piece, hertz) > 500.0);
    pieces.fold((0, 0), |(yes, no), heard| if heard { (yes + 1, no) } else { (yes, no + 1) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_garbage_at_an_encrypted_leg_spoils_neither_the_room_nor_its_recording() {
    let server = Server::start(&[]).await;
    let before = udp_ports(&server);
    let dial = format!("/dial sip:room@{}", server.sip());
    let baresip = baresip(&server.sip().to_string(), "srtp-mand", "", &[dial]);
    let calls = "/Calls.json?Status=in-progress";
    until("baresip is in", async || listed(&server, calls, "calls").await == 1).await;
    let call = server.get(calls).await.body["calls"][0]["sid"].as_str().unwrap().to_owned();
    let mut ports = udp_ports(&server);
    ports.retain(|port| !before.contains(port));
    assert_eq!(ports.len(), 2, "sound and reports");
    let [bob, carol] =
        [BOB, CAROL].map(|hertz| Phone::call(server.sip(), "room", sim::tone(hertz)).unwrap());
    hears(&bob, BARESIP, true).await;
    hears(&carol, BOB, true).await;
    baresip_hears(&baresip, CAROL).await;
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let recordings = format!("/Calls/{call}/Recordings");
    let form = [("RecordingChannels", "dual"), ("Trim", "do-not-trim")];
    let recording = server.post(&format!("{recordings}.json"), &form).await.text("sid");
    let before = metric(&server, "rtp_unproven_total").await;
    [&bob, &carol].into_iter().for_each(Phone::forget);
    let sent = throw(&stranger, &ports, flood()).await;
    // A socket that is connected to the phone takes nothing of others: what is counted came to that of reports.
    let found = metric(&server, "rtp_unproven_total").await - before;
    assert!(found > 0, "nothing of {sent} came");
    let heard = [(&bob, CAROL), (&carol, BOB)].map(|(phone, hertz)| tenths(&phone.heard(), hertz));
    baresip_hears(&baresip, BOB).await;
    hears(&bob, BARESIP, true).await;
    let path = format!("{recordings}/{recording}.json");
    let stopped = server.post(&path, &[("Status", "stopped")]).await;
    assert_eq!(stopped.status, 200, "{}", stopped.body);
    until("it is there", async || server.get(&path).await.text("status") == "completed").await;
    let (_, file) = e2e::fetch(&server, &format!("/Recordings/{recording}.wav"), &[]).await;
    let recorded = e2e::channels(&file);
    let [said, answered] = [(0, BARESIP), (1, BOB)].map(|(at, hertz)| tenths(&recorded[at], hertz));
    println!("{found} of {sent} refused; others {heard:?}, recorded {said:?} and {answered:?}");
    // Where play-out gives delay back a piece cancels itself out.
    for (yes, no) in heard.into_iter().chain([said, answered]) {
        assert!(no * 20 < yes, "{yes} tenths of a second are heard and {no} are not");
    }
    assert_eq!(listed(&server, calls, "calls").await, 3);
}
