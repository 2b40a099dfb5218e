//! Messages out of a stream of octets.
//!
//! Source: RFC 3261 sections 18.3 and 20.14, RFC 5626 section 3.5.1.

use crate::message::MESSAGE_MAX;

/// What was found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// One whole message.
    Message(Vec<u8>),
    /// A keep-alive that wants one line end back.
    Ping,
    /// The head of a message that is too long to be read; nothing after it can be.
    TooLarge(Vec<u8>),
}

/// Parts a stream at the borders of its messages. It holds no more than one message.
#[derive(Debug, Default)]
pub struct Framer {
    octets: Vec<u8>,
    broken: bool,
}

impl Framer {
    /// Takes what was read next.
    pub fn push(&mut self, octets: &[u8]) {
        if !self.broken {
            self.octets.extend_from_slice(octets);
        }
    }

    /// Returns what is whole, in order.
    pub fn poll(&mut self) -> Option<Framed> {
        if self.broken {
            return None;
        }
        if self.octets.starts_with(b"\r\n\r\n") {
            self.octets.drain(..4);
            return Some(Framed::Ping);
        }
        // A line end alone may be half a keep-alive: it is passed over once something follows.
        while self.octets.len() > 2 && self.octets.starts_with(b"\r\n") && self.octets[2] != b'\r' {
            self.octets.drain(..2);
        }
        let end = self.octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let length = end.map(|end| end.saturating_add(content_length(&self.octets[..end])));
        match (end, length) {
            (_, Some(length)) if length <= MESSAGE_MAX => {
                if self.octets.len() < length {
                    return None;
                }
                let rest = self.octets.split_off(length);
                Some(Framed::Message(std::mem::replace(&mut self.octets, rest)))
            }
            (None, None) if self.octets.len() <= MESSAGE_MAX => None,
            _ => {
                self.broken = true;
                let mut head = std::mem::take(&mut self.octets);
                head.truncate(end.unwrap_or(MESSAGE_MAX).min(MESSAGE_MAX));
                Some(Framed::TooLarge(head))
            }
        }
    }
}

/// Returns the length of the body; 0 where it is not said, and too much where it is no number.
fn content_length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head);
    let value = text.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_end();
        let is_it = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l");
        is_it.then(|| value.trim().to_owned())
    });
    value.map_or(0, |value| value.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let first = "OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc";
        let second = "BYE sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";
        let stream = format!("\r\n{first}\r\n\r\n{second}");
        for size in [1, 2, 3, 7, stream.len()] {
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                framer.push(piece);
                found.extend(std::iter::from_fn(|| framer.poll()));
            }
            let whole = |text: &str| Framed::Message(text.as_bytes().to_vec());
            assert_eq!(found, [whole(first), Framed::Ping, whole(second)], "pieces of {size}");
        }
    }

    #[test]
    fn what_is_too_long_breaks_the_stream() {
        for head in ["X sip:a SIP/2.0\r\nl: 70000\r\n\r\n", "X sip:a SIP/2.0\r\nl: -1\r\n\r\n"] {
            let mut framer = Framer::default();
            framer.push(head.as_bytes());
            assert_eq!(framer.poll(), Some(Framed::TooLarge(head.as_bytes().to_vec())));
            framer.push(b"OPTIONS sip:a SIP/2.0\r\n\r\n");
            assert_eq!(framer.poll(), None);
        }
        let mut framer = Framer::default();
        framer.push(&[b'a'; MESSAGE_MAX + 1]);
        assert!(matches!(framer.poll(), Some(Framed::TooLarge(head)) if head.len() == MESSAGE_MAX));
    }
}
