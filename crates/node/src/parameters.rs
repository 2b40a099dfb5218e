//! What goes along with a call to a client or an application of ours: on the wire it is headers.
//!
//! A client's phone gets each parameter as a header `X-NAME`. A call to an application is a call to
//! ourselves, and has all of them in one header.

use url::form_urlencoded::{self, Serializer};

/// The header that brings parameters to an application.
const HEADER: &str = "X-Sidetone-Parameters";

/// Puts parameters behind the address of a client's phone, as headers.
pub fn to_client(uri: String, parameters: &[(String, String)]) -> String {
    let headers = parameters.iter().map(|(name, value)| (format!("X-{name}"), escaped(value)));
    behind(uri, headers)
}

/// Puts parameters behind our own address.
pub fn to_line(uri: String, parameters: &[(String, String)]) -> String {
    let all = Serializer::new(String::new()).extend_pairs(parameters).finish();
    let header = (!parameters.is_empty()).then(|| (HEADER.to_owned(), escaped(&all)));
    behind(uri, header.into_iter())
}

fn behind(mut uri: String, headers: impl Iterator<Item = (String, String)>) -> String {
    let mut separator = if uri.contains('?') { '&' } else { '?' };
    for (name, value) in headers {
        uri.extend([separator]);
        uri.push_str(&format!("{name}={value}"));
        separator = '&';
    }
    uri
}

fn escaped(text: &str) -> String {
    let escaped = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(octet).to_string()
        }
        octet => format!("%{octet:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// Makes of the headers of a call in the fields of its voice requests: `SipHeader_X-...`, and what goes along
/// to an application.
pub fn of_call(headers: Vec<(String, String)>, is_application: bool) -> Vec<(String, String)> {
    let fields = headers.into_iter().flat_map(|(name, value)| {
        if !name.eq_ignore_ascii_case(HEADER) {
            return vec![(format!("SipHeader_{name}"), value)];
        }
        let pairs = form_urlencoded::parse(value.as_bytes()).into_owned();
        if is_application { pairs.collect() } else { Vec::new() }
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters_are_headers_on_the_way_and_fields_at_an_application() {
        let given = pairs(&[("room", "a&b c"), ("who", "\u{e9}")]);
        let client = to_client("sip:a@h;x=y".to_owned(), &given);
        assert_eq!(client, "sip:a@h;x=y?X-room=a%26b%20c&X-who=%C3%A9");
        assert_eq!(to_client("sip:a@h".to_owned(), &[]), "sip:a@h");
        let line = to_line("sip:AP1@h".to_owned(), &given);
        let value = line.strip_prefix("sip:AP1@h?X-Sidetone-Parameters=").unwrap();
        assert_eq!(value, "room%3Da%2526b%2Bc%26who%3D%25C3%25A9");
        let came = pairs(&[("X-Sidetone-Parameters", "room=a%26b+c&who=%C3%A9"), ("X-Other", "1")]);
        let fields = pairs(&[("room", "a&b c"), ("who", "\u{e9}"), ("SipHeader_X-Other", "1")]);
        assert_eq!(of_call(came.clone(), true), fields);
        assert_eq!(of_call(came, false), fields[2..]);
    }
}
