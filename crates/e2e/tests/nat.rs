//! A phone behind a NAT, whose description names an address at which nobody is, and a stranger who is there first.

#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use e2e::{Server, hears, level};
use media::Header;
use sim::Phone;

/// What the phone says, and what a stranger says from another host.
const PHONE: u32 = 700;
const STRANGER: u32 = 2_100;
/// How long the stranger is alone, and how long both send.
const ALONE: Duration = Duration::from_millis(200);
const BOTH: Duration = Duration::from_secs(3);
const WITHIN: Duration = Duration::from_secs(20);

fn bound(host: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from((host, 0))).unwrap();
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    socket
}

/// A request of the phone's one call; it is `at` where the world sees it.
fn request(method: &str, server: SocketAddr, at: SocketAddr, to_tag: &str, body: &str) -> String {
    format!(
        "{method} sip:room@{server} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.0.5:5060;rport;branch=z9hG4bK{method}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:phone@192.168.0.5>;tag=phone\r\nTo: <sip:room@{server}>{to_tag}\r\n\
         Call-ID: behind-a-nat\r\nCSeq: 1 {method}\r\nContact: <sip:phone@{at}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    )
}

/// Calls the room; returns where the server takes its sound.
fn call(phone: &UdpSocket, server: SocketAddr) -> SocketAddr {
    let at = phone.local_addr().unwrap();
    let offer = "v=0\r\no=- 1 1 IN IP4 192.168.0.5\r\ns=-\r\nc=IN IP4 192.168.0.5\r\nt=0 0\r\n\
                 m=audio 40000 RTP/AVP 0\r\n";
    phone.send_to(request("INVITE", server, at, "", offer).as_bytes(), server).unwrap();
    let mut datagram = [0; 4_096];
    let answer = loop {
        let length = phone.recv(&mut datagram).unwrap();
        let answer = String::from_utf8_lossy(&datagram[..length]).into_owned();
        if answer.starts_with("SIP/2.0 200") {
            break answer;
        }
        assert!(answer.starts_with("SIP/2.0 1"), "{answer}");
    };
    let tag = answer.lines().find_map(|line| line.strip_prefix("To: ")?.split_once(";tag="));
    let tag = format!(";tag={}", tag.unwrap().1.trim());
    phone.send_to(request("ACK", server, at, &tag, "").as_bytes(), server).unwrap();
    let media = answer.lines().find_map(|line| line.strip_prefix("m=audio "));
    let port: u16 = media.unwrap().split(' ').next().unwrap().parse().unwrap();
    SocketAddr::from((server.ip(), port))
}

/// The packet of that number: telephone sound of a voice.
fn packet(number: u32, voice: &[i16], ssrc: u32) -> Vec<u8> {
    let (sequence, timestamp) = (number as u16, number * 160);
    let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc };
    let said = voice[number as usize * 160 % voice.len()..].iter().take(160);
    let said: Vec<u8> = said.map(|&sample| media::linear_to_ulaw(sample)).collect();
    let mut packet = [0; media::PACKET_MAX];
    let length = header.write(&said, &mut packet);
    packet[..length].to_vec()
}

/// Returns how many datagrams wait.
fn waiting(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2_048];
    let came = std::iter::from_fn(|| socket.recv(&mut datagram).ok()).count();
    socket.set_nonblocking(false).unwrap();
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_is_there_before_a_phone_behind_a_nat_is_neither_heard_nor_sent_to() {
    let server = Server::start(&[]).await;
    let listener = Phone::call(server.sip(), "room", vec![0; 160].into()).unwrap();
    let beside = Phone::call(server.sip(), "room", sim::tone(440)).unwrap();
    hears(&listener, 440, true).await;
    let (signals, phone, stranger) =
        (bound([127, 0, 0, 1]), bound([127, 0, 0, 1]), bound([127, 0, 0, 2]));
    let to = call(&signals, server.sip());
    let (voice, strange_voice) = (sim::tone(PHONE), sim::tone(STRANGER));
    listener.forget();
    let (began, mut sent, mut strange) = (Instant::now(), 0, 0);
    while began.elapsed() < ALONE + BOTH {
        let since = began.elapsed();
        // Fifty a second, and a thousand: in this order, so that a pause of ours makes nobody else the first.
        while since > ALONE + Duration::from_millis(20) * sent {
            phone.send_to(&packet(sent, &voice, 9), to).unwrap();
            sent += 1;
        }
        while u128::from(strange) < since.as_millis() {
            stranger.send_to(&packet(strange, &strange_voice, 7), to).unwrap();
            strange += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let heard = listener.heard();
    let of = |hertz: u32| heard.chunks_exact(160).map(move |piece| level(piece, hertz));
    let talked = of(PHONE).filter(|&level| level > 500.0).count();
    assert!(talked * 20 > BOTH.as_millis() as usize / 2, "the phone is heard for {talked} ticks");
    // A single packet would be as loud as the phone; where a tone begins, a little of every other is heard.
    let [phone_at, stranger_at] = [PHONE, STRANGER].map(|hertz| of(hertz).fold(0.0, f64::max));
    assert!(stranger_at < 0.3 * phone_at, "the stranger is heard: {stranger_at} of {phone_at}");
    assert_eq!(waiting(&stranger), 0, "something was sent to the stranger");
    assert!(waiting(&phone) > 50, "nothing was sent to the phone");
    drop(beside);
}
