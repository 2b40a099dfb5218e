//! SIP as it is on the wire: over TCP, and from phones that say odd things.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 39998 RTP/AVP 0\r\n";

/// A phone that speaks SIP over TCP by hand.
struct Phone {
    stream: TcpStream,
    heard: String,
}

impl Phone {
    async fn connect(server: &Server) -> Self {
        Self { stream: TcpStream::connect(server.sip()).await.unwrap(), heard: String::new() }
    }

    fn request(&self, method: &str, cseq: u32, to_tag: &str, body: &str) -> String {
        let here = self.stream.local_addr().unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:tcp@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {here};rport;branch=z9hG4bK{cseq}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:phone@{here}>;tag=f\r\nTo: <sip:tcp@127.0.0.1>{to_tag}\r\n\
             Call-ID: tcp@{here}\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@{here};transport=tcp>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `what` was heard; returns all that came up to there.
    async fn hear(&mut self, what: &str) -> String {
        let mut octets = [0; 4_096];
        loop {
            if let Some(at) = self.heard.find(what) {
                let rest = self.heard.split_off(at + what.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            let read = timeout(Duration::from_secs(5), self.stream.read(&mut octets)).await;
            let length =
                read.unwrap_or_else(|_| panic!("no {what:?} in {:?}", self.heard)).unwrap();
            assert!(length > 0, "closed before {what:?}: {:?}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&octets[..length]));
        }
    }
}

#[tokio::test]
async fn a_call_over_tcp_is_answered_and_ended_by_either_side() {
    let server = Server::start(&[]).await;
    for kicked in [true, false] {
        let mut phone = Phone::connect(&server).await;
        let invite = phone.request("INVITE", 1, "", SDP);
        let (first, second) = invite.split_at(100);
        phone.say(first).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        phone.say(second).await;
        let answer = phone.hear("m=audio").await;
        assert!(answer.contains("SIP/2.0 200 OK") && answer.contains("transport=tcp"), "{answer}");
        let to = answer.lines().rfind(|line| line.starts_with("To: ")).unwrap();
        let tag = format!(";tag={}", to.split("tag=").nth(1).unwrap());
        let ack = phone.request("ACK", 1, &tag, "");
        phone.say(&ack).await;
        if kicked {
            let sid = the_conference(&server).await;
            let path = format!("/Conferences/{sid}.json");
            let ended = server.post(&path, &[("Status", "completed")]).await;
            assert_eq!(ended.status, 200);
            phone.hear("BYE sip:phone@").await;
        } else {
            let bye = phone.request("BYE", 2, &tag, "");
            phone.say(&bye).await;
            phone.hear("CSeq: 2 BYE").await;
        }
    }
}

/// Returns the SID of the conference that waits for a second participant, once it does.
async fn the_conference(server: &Server) -> String {
    for _ in 0..200 {
        let found = server.get("/Conferences.json?Status=init").await;
        if let Some(sid) = found.body["conferences"][0]["sid"].as_str() {
            return sid.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no conference came about");
}

#[tokio::test]
async fn a_stream_keeps_alive_and_ends_where_it_makes_no_sense() {
    let server = Server::start(&[]).await;
    let mut phone = Phone::connect(&server).await;
    phone.say("\r\n\r\n").await;
    phone.hear("\r\n").await;
    let options = phone.request("OPTIONS", 3, "", "");
    phone.say(&options.replace("SIP/2.0\r\nVia", "SIP/9.0\r\nVia")).await;
    phone.hear("SIP/2.0 505").await;
    phone.say(&options).await;
    phone.hear("SIP/2.0 200").await;
    phone.say(&options.replace("Content-Length: 0", "Content-Length: 99999")).await;
    phone.hear("SIP/2.0 513").await;
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(5), phone.stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection stays open");
}
