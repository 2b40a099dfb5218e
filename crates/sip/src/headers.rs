//! Headers of others: those that an address carries behind `?`, and those of a phone that begin with `X-`.

use crate::message::Message;

/// Most headers that an address may carry, and the longest of them in octets. Source: Twilio, errors
/// 13251 and 13253.
const HEADERS_MAX: usize = 50;
const HEADER_LENGTH_MAX: usize = 1_024;

/// Parts a SIP address from the headers behind it. Only those whose names begin with `X-` go along, and
/// User-to-User (RFC 7433); what is no header is passed over.
///
/// Source: RFC 3261 sections 19.1.1 and 19.1.5.
pub(crate) fn headers(uri: &str) -> (&str, Vec<(String, String)>) {
    let Some((uri, query)) = uri.split_once('?') else { return (uri, Vec::new()) };
    let headers = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (unescape(name)?, unescape(value)?);
        let token = |c: char| c.is_ascii_alphanumeric() || "-._!%*+`'~".contains(c);
        let ours = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"))
            || name.eq_ignore_ascii_case("User-to-User");
        let fits = name.len() + value.len() <= HEADER_LENGTH_MAX;
        let is_line = !value.chars().any(char::is_control);
        (ours && fits && is_line && name.chars().all(token)).then_some((name, value))
    });
    (uri, headers.take(HEADERS_MAX).collect())
}

/// Returns the headers of a message that are neither SIP's nor ours.
pub(crate) fn special(message: &Message) -> Vec<(String, String)> {
    let special = |(name, _): &&(String, String)| {
        name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-")) && name.len() > 2
    };
    message.headers.iter().filter(special).take(HEADERS_MAX).cloned().collect()
}

/// Takes percent escapes out; nothing where what is left is no text.
fn unescape(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            octets.push(first);
            rest = after;
            continue;
        }
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok())?;
        octets.push(u8::from_str_radix(pair, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_parted_from_an_address() {
        for (uri, expected) in [
            ("sip:a@h", "sip:a@h"),
            ("sip:a@h;transport=tcp?X-Name=value", "sip:a@h;transport=tcp X-Name: value"),
            ("sip:a@h?x-a=1%202&X-B=%C3%A9", "sip:a@h x-a: 1 2 X-B: \u{e9}"),
            ("sip:a@h?User-to-User=ab%3Bencoding%3Dhex", "sip:a@h User-to-User: ab;encoding=hex"),
            ("sip:a@h?Subject=no&X-C", "sip:a@h"),
            ("sip:a@h?X-D=a%0d%0aVia:x&X-E%20=1&X-F=%zz&X-G=%FF&X-H=%+1", "sip:a@h"),
        ] {
            let (uri, headers) = headers(uri);
            let headers: String =
                headers.iter().map(|(name, value)| format!(" {name}: {value}")).collect();
            assert_eq!(format!("{uri}{headers}"), expected);
        }
        let many = format!("sip:a@h?{}", "X-A=1&".repeat(60));
        assert_eq!(headers(&many).1.len(), HEADERS_MAX);
        let long = format!("sip:a@h?X-A={}", "a".repeat(HEADER_LENGTH_MAX));
        assert_eq!(headers(&long).1, []);
    }
}
