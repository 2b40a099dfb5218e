//! An address as it was written and as it goes over the wire.

use url::Url;

use crate::Failure;

/// Where a request goes, and the text that is signed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// For the HTTP client: user and password still in it, no fragment.
    pub(crate) wire: Url,
    /// The `Host` header: in the letters in which the host was written, with the port if it was.
    pub(crate) host: String,
    /// What is signed: the authority as it was written, path and query as they are sent.
    pub(crate) signed: String,
}

impl Address {
    /// Reads an address and appends fields to its query.
    ///
    /// # Errors
    /// 11100 where it is not an absolute http or https address.
    pub(crate) fn read(text: &str, query: &[(String, String)]) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::new(11100, format!("{text} {why}"));
        let mut wire = Url::parse(text.trim()).map_err(|_| bad("is not an address"))?;
        if !matches!(wire.scheme(), "http" | "https") {
            return Err(bad("is neither http nor https"));
        }
        wire.set_fragment(None);
        if !query.is_empty() {
            wire.query_pairs_mut().extend_pairs(query);
        }
        let authority =
            written_authority(text.trim(), &wire).unwrap_or_else(|| wire.authority().to_owned());
        let host = authority.rsplit_once('@').map_or(&*authority, |(_, host)| host).to_owned();
        let query = wire.query().map(|query| format!("?{query}")).unwrap_or_default();
        let signed = format!("{}://{authority}{}{query}", wire.scheme(), wire.path());
        Ok(Self { wire, host, signed })
    }

    /// What is one receiver for limits and connections: scheme, host and port.
    pub(crate) fn origin(url: &str) -> String {
        match Url::parse(url.trim()) {
            Ok(url) => url.origin().ascii_serialization(),
            Err(_) => String::new(),
        }
    }
}

/// Returns the authority in the letters of the text, where those mean what the parser understood.
fn written_authority(text: &str, wire: &Url) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let plain = authority.chars().all(|c| c.is_ascii_graphic());
    let understood = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
    let same = understood.authority() == wire.authority();
    (plain && same).then(|| authority.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, query: &[(&str, &str)], host: &str, signed: &str) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let query: Vec<_> = query.iter().map(own).collect();
        let address = Address::read(text, &query).unwrap();
        assert_eq!((&*address.host, &*address.signed), (host, signed), "{text}");
    }

    #[test]
    fn the_host_is_signed_in_its_own_letters_and_the_fragment_is_not() {
        check(
            "https://MyCompany.com/a?x=1#rc=2",
            &[],
            "MyCompany.com",
            "https://MyCompany.com/a?x=1",
        );
        check("HTTP://x.com", &[], "x.com", "http://x.com/");
        check("https://x.com:443//a", &[], "x.com:443", "https://x.com:443//a");
        check("http://x.com:8080/a", &[], "x.com:8080", "http://x.com:8080/a");
        check("http://u:p@X.com/a", &[], "X.com", "http://u:p@X.com/a");
        check("http://u@x.com:80/", &[], "x.com:80", "http://u@x.com:80/");
        check("http://[::1]:80/", &[], "[::1]:80", "http://[::1]:80/");
    }

    #[test]
    fn fields_follow_a_query_that_is_there() {
        check("http://x/a", &[("A b", "+1&")], "x", "http://x/a?A+b=%2B1%26");
        check("http://x/a?", &[("A", "é")], "x", "http://x/a?A=%C3%A9");
        check("http://x/a?q=it's#f", &[("A", "")], "x", "http://x/a?q=it%27s&A=");
    }

    #[test]
    fn what_is_written_oddly_is_signed_as_it_is_sent() {
        check("https:/x.com/a", &[], "x.com", "https://x.com/a");
        check("https:\\\\x.com\\a", &[], "x.com", "https://x.com/a");
        check(
            "https://España.example/é",
            &[],
            "xn--espaa-rta.example",
            "https://xn--espaa-rta.example/%C3%A9",
        );
        check("  http://x/\n", &[], "x", "http://x/");
    }

    #[test]
    fn what_is_no_http_address_is_11100() {
        for text in [
            "",
            "x",
            "/a",
            "ftp://x/",
            "file:///etc/passwd",
            "javascript:1",
            "http://",
            "gopher://x",
        ] {
            assert_eq!(Address::read(text, &[]).unwrap_err().code, 11100, "{text}");
        }
    }
}
