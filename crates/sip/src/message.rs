//! The grammar of messages, as far as a user agent needs it, behind a strict gate.
//!
//! Source: RFC 3261 sections 7, 8.1.1 and 25.

use std::fmt::Write;

/// Longest message that is read: what fits a UDP datagram.
pub const MESSAGE_MAX: usize = 65_535;
/// Most header lines of one message.
pub const HEADERS_MAX: usize = 128;
/// Most header lines that a response takes from its request: there is room for its own.
const COPIED_MAX: usize = HEADERS_MAX - 16;
/// Longest header, its folded lines taken together.
pub const HEADER_MAX: usize = 8_192;

/// How a message begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A request.
    Request {
        /// In the case in which it was written: methods are case-sensitive.
        method: String,
        /// The Request-URI.
        uri: String,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// For people.
        reason: String,
    },
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its first line.
    pub start: Start,
    /// Its header fields in order, under their long names.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why octets are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Only line ends: a keep-alive.
    #[error("a keep-alive")]
    KeepAlive,
    /// The first line is neither a request's nor a response's.
    #[error("malformed start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("version not supported")]
    Version,
    /// A header line breaks the grammar or is too long, or there are too many.
    #[error("malformed header")]
    Header,
    /// Less body than `Content-Length` says.
    #[error("body shorter than Content-Length")]
    Body,
}

const COMPACT: [(&str, &str); 11] = [
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("e", "Content-Encoding"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("f", "From"),
    ("s", "Subject"),
    ("k", "Supported"),
    ("t", "To"),
    ("v", "Via"),
    ("x", "Session-Expires"),
];

impl Message {
    /// Reads one datagram.
    ///
    /// # Errors
    /// What breaks the grammar so that nothing sure can be said of it.
    pub fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        let start = datagram.iter().position(|&octet| !matches!(octet, b'\r' | b'\n' | 0));
        let datagram = &datagram[start.ok_or(ParseError::KeepAlive)?..];
        let end = find(datagram, b"\r\n\r\n").map(|at| (at, at + 4));
        let (head, body) = end.unwrap_or((datagram.len(), datagram.len()));
        let text = std::str::from_utf8(&datagram[..head]).map_err(|_| ParseError::Header)?;
        let mut lines = text.split("\r\n");
        let start = parse_start(lines.next().unwrap_or_default())?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut().ok_or(ParseError::Header)?;
                value.push(' ');
                value.push_str(line.trim());
                if value.len() > HEADER_MAX {
                    return Err(ParseError::Header);
                }
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(ParseError::Header)?;
            let name = name.trim_end();
            let token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
            let many = headers.len() >= HEADERS_MAX || line.len() > HEADER_MAX;
            if name.is_empty() || !name.chars().all(token) || many {
                return Err(ParseError::Header);
            }
            let long = COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
            headers.push((long.map_or(name, |(_, long)| long).to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: Vec::new() };
        let rest = &datagram[body..];
        let length = match message.header("Content-Length") {
            Some(length) => length.parse::<usize>().map_err(|_| ParseError::Header)?,
            None => rest.len(),
        };
        message.body = rest.get(..length).ok_or(ParseError::Body)?.to_vec();
        Ok(message)
    }

    /// Returns the first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Returns every field of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns every value of this name, in order, of lists each of their parts.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(split_list).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Says whether a list has this token, in any letter case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Returns a parameter of a header that is no address.
    pub fn header_parameter(&self, header: &str, name: &str) -> Option<&str> {
        parameter(self.header(header)?, name)
    }

    /// Returns the status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Response { status, .. } => status,
            Start::Request { .. } => 0,
        }
    }

    /// Adds a header.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// Replaces the first header of this name, or adds it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value.into(),
            None => self.push(name, value),
        }
    }

    /// Takes a header away.
    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Returns the number and the method of `CSeq`.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// Returns the tag of a `From` or `To`.
    pub fn tag(&self, header: &str) -> Option<&str> {
        parameter(after_address(self.header(header)?), "tag")
    }

    /// Returns the branch of the topmost `Via`.
    pub fn branch(&self) -> Option<&str> {
        parameter(self.header("Via")?.split(',').next()?, "branch")
    }

    /// Writes the message with its true `Content-Length`.
    pub fn write(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut octets = text.into_bytes();
        octets.extend(&self.body);
        octets
    }

    /// Makes a response with what RFC 3261 section 8.2.6.2 copies from the request: what may stand
    /// once is copied once, and of more than 112 lines the last are left out.
    pub fn response(&self, status: u16, to_tag: Option<&str>) -> Self {
        let mut once = vec!["From", "To", "Call-ID", "CSeq"];
        let mut wanted = |name: &str| {
            let is = |known: &str| known.eq_ignore_ascii_case(name);
            let first = once.iter().position(|known| is(known)).map(|at| once.remove(at)).is_some();
            first || is("Via") || status < 300 && is("Record-Route")
        };
        let copied = self.headers.iter().filter(|(name, _)| wanted(name)).take(COPIED_MAX);
        let mut headers: Vec<_> = copied.cloned().collect();
        if let Some(tag) = to_tag
            && self.tag("To").is_none()
        {
            for (_, value) in headers.iter_mut().filter(|(n, _)| n.eq_ignore_ascii_case("To")) {
                let _ = write!(value, ";tag={tag}");
            }
        }
        let start = Start::Response { status, reason: reason(status).to_owned() };
        Self { start, headers, body: Vec::new() }
    }
}

fn parse_start(line: &str) -> Result<Start, ParseError> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = status.parse().map_err(|_| ParseError::StartLine)?;
        if !(100..700).contains(&status) {
            return Err(ParseError::StartLine);
        }
        return Ok(Start::Response { status, reason: reason.to_owned() });
    }
    let mut words = line.split(' ');
    let (Some(method), Some(uri), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ParseError::StartLine);
    };
    if !version.starts_with("SIP/") || method.is_empty() || uri.is_empty() {
        return Err(ParseError::StartLine);
    }
    if version != "SIP/2.0" {
        return Err(ParseError::Version);
    }
    Ok(Start::Request { method: method.to_owned(), uri: uri.to_owned() })
}

/// Whether an address wants each hop to be TLS.
pub(crate) fn scheme_is_sips(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sips"))
}

/// Returns the address inside a `From`, `To`, `Contact` or route: without name and parameters.
pub fn uri_of(value: &str) -> &str {
    match (value.find('<'), value.find('>')) {
        (Some(open), Some(close)) if open < close => &value[open + 1..close],
        _ => value.split([';', ',']).next().unwrap_or(value).trim(),
    }
}

/// Returns what follows the address: the header's own parameters.
fn after_address(value: &str) -> &str {
    value.find('>').map_or_else(|| value.find(';').map_or("", |at| &value[at..]), |at| &value[at..])
}

/// Returns the value of a parameter that is the header's own, not the address's.
pub fn parameter_after_address<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    parameter(after_address(value), name)
}

/// Returns the value of a parameter.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Parts a list at the commas that are in neither quotes nor brackets.
fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    value.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' => return !quoted && !bracketed,
            _ => {}
        }
        false
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        603 => "Decline",
        _ => "Unknown",
    }
}
