//! The cookies of one call: kept for as long as its documents are asked for.
//!
//! Source: RFC 6265, section 5; attributes that only browsers need are not read.

use std::time::{Duration, SystemTime};

use url::{Host, Url};

/// Most cookies of one call; beyond, the oldest goes.
const COOKIES_MAX: usize = 20;
/// Longest cookie, name and value together; longer ones are not kept.
const COOKIE_MAX: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Whether hosts below the domain get it too.
    below: bool,
    path: String,
    secure: bool,
    until: Option<SystemTime>,
}

/// What a call's servers asked to be told again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    /// Takes a `Set-Cookie` header that came from `url`; what is broken is ignored.
    pub(crate) fn set(&mut self, url: &Url, header: &str, now: SystemTime) {
        let Some(cookie) = read(url, header, now) else { return };
        let same = |other: &Cookie| {
            (&other.name, &other.domain, &other.path)
                == (&cookie.name, &cookie.domain, &cookie.path)
        };
        self.cookies.retain(|other| !same(other));
        if cookie.until.is_some_and(|until| until <= now) {
            return;
        }
        if self.cookies.len() == COOKIES_MAX {
            self.cookies.remove(0);
        }
        self.cookies.push(cookie);
    }

    /// Returns the `Cookie` header for a request to `url`.
    pub(crate) fn header(&self, url: &Url, now: SystemTime) -> Option<String> {
        let host = url.host_str().unwrap_or_default();
        let fits = |cookie: &&Cookie| {
            (host == cookie.domain || (cookie.below && is_below(host, &cookie.domain)))
                && path_fits(url.path(), &cookie.path)
                && (!cookie.secure || url.scheme() == "https")
                && cookie.until.is_none_or(|until| until > now)
        };
        let mut found: Vec<&Cookie> = self.cookies.iter().filter(fits).collect();
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            found.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'))
}

fn path_fits(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

fn read(url: &Url, header: &str, now: SystemTime) -> Option<Cookie> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let printable = |text: &str| text.chars().all(|c| c.is_ascii() && !c.is_ascii_control());
    if name.is_empty() || name.len() + value.len() > COOKIE_MAX || !printable(header) {
        return None;
    }
    let directory = url.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: url.host_str()?.to_owned(),
        below: false,
        path: if directory.is_empty() { "/".to_owned() } else { directory.to_owned() },
        secure: false,
        until: None,
    };
    let mut age = None;
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                let of_a_name = matches!(url.host(), Some(Host::Domain(_)));
                if of_a_name && domain.contains('.') && is_below(&cookie.domain, &domain) {
                    cookie.domain = domain;
                } else if cookie.domain != domain {
                    return None;
                }
                cookie.below = of_a_name;
            }
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "secure" => cookie.secure = true,
            "max-age" => age = value.parse::<i64>().ok(),
            "expires" => cookie.until = httpdate::parse_http_date(value).ok(),
            _ => {}
        }
    }
    if let Some(age) = age {
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        cookie.until = now.checked_add(age);
    }
    Some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In 2001.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    #[track_caller]
    fn check(from: &str, set: &[&str], to: &str, sent: Option<&str>) {
        let mut jar = Jar::default();
        for header in set {
            jar.set(&Url::parse(from).unwrap(), header, now());
        }
        assert_eq!(jar.header(&Url::parse(to).unwrap(), now()).as_deref(), sent, "{set:?} to {to}");
    }

    #[test]
    fn a_cookie_goes_back_to_where_it_came_from() {
        check("http://a.com/x/y", &["k=v; HttpOnly"], "http://a.com/x/z", Some("k=v"));
        check("http://a.com/x/y", &["k=v"], "http://a.com/q", None);
        check("http://a.com/x/y", &["k=v; Path=/"], "http://a.com/q", Some("k=v"));
        check("http://a.com/", &["k=v; Path=/x"], "http://a.com/xy", None);
        check("http://a.com/", &["k=v"], "http://b.com/", None);
        check("http://127.0.0.1:1/", &["k=v"], "http://127.0.0.1:2/", Some("k=v"));
        check("http://a.com/", &["a=1", "b=2", "a=3"], "http://a.com/", Some("b=2; a=3"));
    }

    #[test]
    fn a_domain_widens_a_cookie_but_never_to_others() {
        let set = &["k=v; Domain=.a.com"][..];
        check("http://www.a.com/", set, "http://app.a.com/", Some("k=v"));
        check("http://www.a.com/", set, "http://nota.com/", None);
        check("http://www.a.com/", &["k=v; Domain=com"], "http://b.com/", None);
        check("http://www.a.com/", &["k=v; Domain=b.com"], "http://b.com/", None);
        check("http://10.0.0.1/", &["k=v; Domain=0.0.1"], "http://11.0.0.1/", None);
    }

    #[test]
    fn a_cookie_ends_when_it_says_so() {
        check("http://a.com/", &["k=v", "k=; Max-Age=0"], "http://a.com/", None);
        check("http://a.com/", &["k=v; Max-Age=9"], "http://a.com/", Some("k=v"));
        let old = "k=v; Expires=Sat, 01 Jan 2000 00:00:00 GMT";
        check("http://a.com/", &[old], "http://a.com/", None);
        check("https://a.com/", &["k=v; Secure"], "http://a.com/", None);
    }

    #[test]
    fn a_jar_stays_small_and_takes_no_rubbish() {
        let mut jar = Jar::default();
        let url = Url::parse("http://a.com/").unwrap();
        for number in 0..1_000 {
            jar.set(&url, &format!("k{number}=v"), now());
        }
        for rubbish in ["", "=v", "novalue", "k=a\tb", &format!("k={}", "x".repeat(2_000))] {
            jar.set(&url, rubbish, now());
        }
        assert_eq!(jar.cookies.len(), COOKIES_MAX);
        assert_eq!(jar.cookies.last().unwrap().name, "k999");
    }
}
