mod guard;
mod http;
mod limits;
mod signatures;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::guard::Lookup;
use crate::*;

pub const LOOPBACK: Guard = Guard { loopback: true, private: false };
pub const TOKEN: &str = "12345";

/// A server that answers by path and remembers what it was asked.
#[derive(Clone, Default)]
pub struct Origin {
    answers: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    pub port: u16,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let this = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().serve(stream));
            }
        });
        origin
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            let target = request.split(' ').nth(1).unwrap_or_default();
            let path = target.split('?').next().unwrap_or_default().to_owned();
            self.asked.lock().unwrap().push(request);
            let answer = self.answers.lock().unwrap().get(&path).cloned();
            let answer = answer.unwrap_or_else(|| reply("404 Not Found", "", b""));
            if stream.write_all(&answer).await.is_err() || answer.is_empty() {
                return;
            }
            if !String::from_utf8_lossy(&answer).contains("content-length") {
                return;
            }
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers at `path` with these octets as they are; none: closes the connection.
    pub fn raw(&self, path: &str, octets: impl Into<Vec<u8>>) -> String {
        self.answers.lock().unwrap().insert(path.to_owned(), octets.into());
        self.url(path)
    }

    pub fn says(&self, path: &str, status: &str, headers: &str, body: &[u8]) -> String {
        self.raw(path, reply(status, headers, body))
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let lines: String = headers
        .split('|')
        .filter(|line| !line.is_empty())
        .fold(String::new(), |lines, line| lines + line + "\r\n");
    let length = body.len();
    let mut octets =
        format!("HTTP/1.1 {status}\r\n{lines}content-length: {length}\r\n\r\n").into_bytes();
    octets.extend_from_slice(body);
    octets
}

/// Reads one request with its body; none at the end of the connection.
pub async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut octets = [0; 4_096];
        let length = stream.read(&mut octets).await.ok().filter(|length| *length > 0)?;
        text.extend_from_slice(&octets[..length]);
        let request = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let declared = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= declared.map_or(0, |length| length.parse().unwrap()) {
            return Some(request);
        }
    }
}

pub fn request(method: &str, url: &str) -> Request {
    Request {
        url: url.to_owned(),
        method: method.to_owned(),
        params: [("B".to_owned(), "c d".to_owned()), ("A".to_owned(), "+1".to_owned())].into(),
        auth_token: TOKEN.to_owned(),
        idempotency_token: Some("once".to_owned()),
        jar: Some("CA1".to_owned()),
        judge: Some(|_| Ok(1_000)),
    }
}

pub fn client() -> Client {
    Client::new(LOOPBACK).unwrap()
}

pub async fn fetch(method: &str, url: &str) -> Result<Response, Failure> {
    client().fetch(&request(method, url)).await
}

/// A resolver that knows these names.
pub fn names(known: &'static [(&'static str, &'static [&'static str])]) -> Lookup {
    Arc::new(move |name| {
        let found = known.iter().find(|(known, _)| *known == name);
        let addresses: Vec<IpAddr> = found
            .map(|(_, addresses)| addresses.iter().map(|ip| ip.parse().unwrap()).collect())
            .unwrap_or_default();
        Box::pin(async move { Ok(addresses) })
    })
}
