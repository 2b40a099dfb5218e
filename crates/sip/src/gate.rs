//! The strict gate in front of the agent: what a request must be before anything is made of it.
//!
//! Source: RFC 3261 sections 8.1.1, 8.2 and 25; the cases of RFC 4475 and RFC 5118.

use std::net::Ipv6Addr;

use crate::message::{Message, Start, scheme_is_sips, uri_of};

/// Largest CSeq number. Source: RFC 3261 section 8.1.1.5.
const CSEQ_MAX: u32 = 0x7FFF_FFFF;
/// Largest Max-Forwards. Source: RFC 3261 section 20.22.
const HOPS_MAX: u64 = 255;

/// Returns the status by which a request is refused before anything is looked up.
pub fn fault(message: &Message, method: &str, uri: &str) -> Option<u16> {
    let once = ["From", "To", "Call-ID", "CSeq"].iter().all(|name| message.all(name).count() == 1);
    let at_most_once = ["Content-Length", "Max-Forwards", "Content-Type"];
    let once = once && at_most_once.iter().all(|name| message.all(name).count() <= 1);
    let numbered =
        message.cseq().is_some_and(|(number, named)| number <= CSEQ_MAX && named == method);
    let hops = message.header("Max-Forwards").map(|hops| hops.trim().parse::<u64>());
    let hops_are_sane = hops.is_none_or(|hops| hops.is_ok_and(|hops| hops <= HOPS_MAX));
    let addresses = ["From", "To", "Contact", "Route", "Record-Route", "Reply-To"];
    let addressed =
        addresses.iter().all(|name| message.all(name).all(|value| is_address(name, value)));
    if !once || !numbered || !hops_are_sane || !addressed || !message.all("Via").all(is_via) {
        return Some(400);
    }
    uri_fault(uri)
}

/// Whether each hop of a `Via` names protocol and host, and no parameter is empty.
fn is_via(value: &str) -> bool {
    value.split(',').all(|hop| {
        let (by, parameters) = hop.split_once(';').unwrap_or((hop, "x"));
        by.split_whitespace().count() >= 2
            && parameters.split(';').all(|one| !one.trim().is_empty())
    })
}

/// Returns what is wrong with a Request-URI.
fn uri_fault(uri: &str) -> Option<u16> {
    let Some((scheme, rest)) = uri.split_once(':') else { return Some(400) };
    if uri.contains(['<', '>', '"', ' ']) {
        return Some(400);
    }
    if !scheme.eq_ignore_ascii_case("sip") && !scheme_is_sips(uri) {
        return Some(416);
    }
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let carries_headers = host.contains('?');
    let host = host.split([';', '?']).next().unwrap_or_default();
    (carries_headers || !is_host(host)).then_some(400)
}

/// Whether this is `host`, `host:port`, `[v6]` or `[v6]:port`.
fn is_host(host: &str) -> bool {
    let port_is_sane = |port: &str| port.parse::<u16>().is_ok();
    if let Some(rest) = host.strip_prefix('[') {
        let Some((v6, port)) = rest.split_once(']') else { return false };
        // The grammar of RFC 3261 wrongly asks for a third colon before an IPv4 part: RFC 5118, 4.10.
        return v6.replace(":::", "::").parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(port_is_sane));
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let name_is_sane = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty() && name.chars().all(name_is_sane) && port.is_none_or(port_is_sane)
}

/// Whether a `From`, `To`, `Contact` or route keeps its quotes and brackets closed, and has an
/// address.
fn is_address(header: &str, value: &str) -> bool {
    if header == "Contact" && value == "*" {
        return true;
    }
    let Some(plain) = without_quoted(value) else { return false };
    let (open, close) = (plain.matches('<').count(), plain.matches('>').count());
    if open != close {
        return false;
    }
    let uri = uri_of(&plain);
    let inside_brackets = open > 0;
    let name = plain.split('<').next().unwrap_or_default();
    let token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~ \t".contains(c) || !c.is_ascii();
    let name_is_sane = !inside_brackets || name.chars().all(token);
    // A comma, semicolon or question mark in a URI without brackets would be the header's own.
    let contact_is_clear = inside_brackets || header != "Contact" || !plain.contains('?');
    name_is_sane && contact_is_clear && uri.contains(':') && !uri.contains(' ')
}

/// Returns a field without its quoted strings; nothing where one is not closed.
pub fn without_quoted(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '"' {
            plain.push(character);
            continue;
        }
        loop {
            match characters.next()? {
                '\\' => {
                    characters.next()?;
                }
                '"' => break,
                _ => {}
            }
        }
    }
    Some(plain)
}

/// Reads what can be read of a request that breaks the grammar: enough to refuse it.
pub fn salvage(octets: &[u8]) -> Option<Message> {
    let text = String::from_utf8_lossy(octets);
    let head = text.trim_start_matches(['\r', '\n']).split("\r\n\r\n").next()?;
    let (first, rest) = head.split_once("\r\n")?;
    let method = first.split_whitespace().next()?.to_owned();
    if method.starts_with("SIP/") {
        return None;
    }
    let lines = rest.split("\r\n").filter(|line| line.contains(':') && !line.starts_with(' '));
    let sane = format!("{method} sip:unread SIP/2.0\r\n{}\r\n\r\n", {
        let keep = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
            let wanted =
                ["via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "record-route"];
            wanted.contains(&name.as_str())
        };
        lines.filter(keep).collect::<Vec<_>>().join("\r\n")
    });
    let mut message = Message::parse(sane.as_bytes()).ok()?;
    message.start = Start::Request { method, uri: String::new() };
    Some(message)
}
