//! Answers to GET that may be given again without asking, or after asking whether they still hold.
//!
//! Source: RFC 9111, as a private cache. Nothing is guessed: without a lifetime of its own, an
//! answer is asked about each time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{
    AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED, SET_COOKIE, VARY,
};

use crate::Response;

/// Most answers that are kept.
const ANSWERS_MAX: usize = 256;
/// Most octets of all answers that are kept; beyond, what was not asked for the longest goes.
const OCTETS_MAX: usize = 32 * 1024 * 1024;
/// Longest answer that is kept.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Longest lifetime that is believed.
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 86_400);

#[derive(Debug)]
struct Kept {
    response: Response,
    etag: Option<String>,
    last_modified: Option<String>,
    fresh_until: Instant,
    used: u64,
}

/// What the cache has for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// To be given as it is.
    Fresh(Response),
    /// To be asked about: `If-None-Match`, `If-Modified-Since`.
    Stale(Option<String>, Option<String>),
}

/// The answers of one server, by the address that was asked.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    answers: BTreeMap<String, Kept>,
    octets: usize,
    uses: u64,
}

impl Cache {
    pub(crate) fn find(&mut self, url: &str, now: Instant) -> Found {
        self.uses += 1;
        let Some(kept) = self.answers.get_mut(url) else { return Found::Nothing };
        kept.used = self.uses;
        if now < kept.fresh_until {
            Found::Fresh(kept.response.clone())
        } else {
            Found::Stale(kept.etag.clone(), kept.last_modified.clone())
        }
    }

    /// Keeps an answer if its headers allow that, and forgets the one before in any case.
    pub(crate) fn keep(
        &mut self,
        url: &str,
        response: &Response,
        headers: &HeaderMap,
        (now, wall): (Instant, SystemTime),
    ) {
        self.forget(url);
        let lifetime = lifetime(headers, wall);
        let (etag, last_modified) = (text(headers, ETAG), text(headers, LAST_MODIFIED));
        let useful = lifetime > Duration::ZERO || etag.is_some() || last_modified.is_some();
        if response.status != 200
            || !useful
            || !may_be_kept(headers)
            || response.body.len() > ANSWER_MAX
        {
            return;
        }
        self.octets += response.body.len();
        self.uses += 1;
        let kept = Kept {
            response: response.clone(),
            etag,
            last_modified,
            fresh_until: now + lifetime,
            used: self.uses,
        };
        self.answers.insert(url.to_owned(), kept);
        while self.octets > OCTETS_MAX || self.answers.len() > ANSWERS_MAX {
            let oldest = self.answers.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(url, _)| url.clone()) else { break };
            self.forget(&oldest);
        }
    }

    /// Takes a 304: the answer that was kept holds on.
    pub(crate) fn confirm(
        &mut self,
        url: &str,
        headers: &HeaderMap,
        (now, wall): (Instant, SystemTime),
    ) -> Option<Response> {
        let kept = self.answers.get_mut(url)?;
        kept.fresh_until = now + lifetime(headers, wall);
        let response = kept.response.clone();
        if !may_be_kept(headers) {
            self.forget(url);
        }
        Some(response)
    }

    fn forget(&mut self, url: &str) {
        if let Some(kept) = self.answers.remove(url) {
            self.octets -= kept.response.body.len();
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn directives(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
}

fn may_be_kept(headers: &HeaderMap) -> bool {
    // These are the same in all of our requests.
    const CONSTANT: [&str; 3] = ["accept", "accept-encoding", "user-agent"];
    let varies = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let mut varies = varies.flat_map(|value| value.split(','));
    !directives(headers).iter().any(|word| word == "no-store")
        && !headers.contains_key(SET_COOKIE)
        && varies.all(|name| CONSTANT.contains(&&*name.trim().to_ascii_lowercase()))
}

fn lifetime(headers: &HeaderMap, wall: SystemTime) -> Duration {
    let directives = directives(headers);
    if directives.iter().any(|word| word.split('=').next() == Some("no-cache")) {
        return Duration::ZERO;
    }
    let max_age = directives.iter().find_map(|word| word.strip_prefix("max-age="));
    let lifetime = match max_age {
        Some(seconds) => Duration::from_secs(seconds.trim_matches('"').parse().unwrap_or(0)),
        None => {
            let date = |name| httpdate::parse_http_date(&text(headers, name)?).ok();
            let from = date(DATE).unwrap_or(wall);
            date(EXPIRES).and_then(|until| until.duration_since(from).ok()).unwrap_or_default()
        }
    };
    let age = text(headers, AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    lifetime.saturating_sub(Duration::from_secs(age)).min(LIFETIME_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::header::HeaderValue;

    use super::*;

    const URL: &str = "http://a.com/x";

    fn response(octets: usize) -> Response {
        Response {
            status: 200,
            content_type: "audio/wav".to_owned(),
            charset: None,
            body: Arc::new(vec![7; octets]),
            url: URL.to_owned(),
        }
    }

    fn headers(lines: &str) -> HeaderMap {
        let pairs = lines.split('|').filter_map(|line| line.split_once(": "));
        pairs
            .map(|(name, value)| {
                (name.trim().parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
            })
            .collect()
    }

    /// Keeps an answer with these headers and says what there is of it `after` seconds.
    #[track_caller]
    fn check(lines: &str, after: u64, expected: &str) {
        let (now, wall) =
            (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let mut cache = Cache::default();
        cache.keep(URL, &response(3), &headers(lines), (now, wall));
        let found = match cache.find(URL, now + Duration::from_secs(after)) {
            Found::Nothing => "nothing".to_owned(),
            Found::Fresh(_) => "fresh".to_owned(),
            Found::Stale(etag, modified) => {
                format!("stale {} {}", etag.unwrap_or_default(), modified.unwrap_or_default())
            }
        };
        assert_eq!(found.trim(), expected, "{lines} after {after} s");
    }

    #[test]
    fn an_answer_is_fresh_for_as_long_as_it_says() {
        check("cache-control: max-age=60", 59, "fresh");
        check("cache-control: max-age=60", 60, "stale");
        check("cache-control: max-age=60|age: 50", 10, "stale");
        check("cache-control: public, MAX-AGE=60", 1, "fresh");
        let expires = "date: Sun, 06 Nov 1994 08:49:37 GMT|expires: Sun, 06 Nov 1994 08:50:37 GMT";
        check(expires, 59, "fresh");
        check(expires, 61, "stale");
        check("expires: 0|etag: \"a\"", 0, "stale \"a\"");
        check("cache-control: max-age=9999999999999999", 6 * 86_400, "fresh");
    }

    #[test]
    fn an_answer_with_no_lifetime_is_asked_about() {
        check("etag: \"a\"", 0, "stale \"a\"");
        check(
            "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
            0,
            "stale  Sun, 06 Nov 1994 08:49:37 GMT",
        );
        check("cache-control: no-cache, max-age=60|etag: \"a\"", 0, "stale \"a\"");
        check("content-type: audio/wav", 0, "nothing");
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        check("cache-control: no-store, max-age=60", 0, "nothing");
        check("cache-control: max-age=60|vary: *", 0, "nothing");
        check("cache-control: max-age=60|vary: Cookie", 0, "nothing");
        check("cache-control: max-age=60|vary: Accept-Encoding", 0, "fresh");
        check("cache-control: max-age=60|set-cookie: a=b", 0, "nothing");
    }

    #[test]
    fn a_confirmed_answer_lives_on() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut cache = Cache::default();
        cache.keep(URL, &response(3), &headers("etag: \"a\""), (now, wall));
        let confirmed = cache.confirm(URL, &headers("cache-control: max-age=5"), (now, wall));
        assert_eq!(confirmed, Some(response(3)));
        assert_eq!(cache.find(URL, now), Found::Fresh(response(3)));
        assert_eq!(cache.confirm("http://b.com/", &headers(""), (now, wall)), None);
    }

    #[test]
    fn the_cache_stays_within_its_bounds() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut cache = Cache::default();
        let fresh = headers("cache-control: max-age=60");
        for number in 0..1_000 {
            cache.keep(&format!("{URL}{number}"), &response(1), &fresh, (now, wall));
        }
        assert_eq!((cache.answers.len(), cache.octets), (ANSWERS_MAX, ANSWERS_MAX));
        for number in 0..5 {
            cache.keep(&format!("{URL}long{number}"), &response(9 << 20), &fresh, (now, wall));
        }
        assert!(cache.octets <= OCTETS_MAX, "{}", cache.octets);
        assert!(matches!(cache.find(&format!("{URL}long4"), now), Found::Fresh(_)));
        cache.keep(URL, &response(ANSWER_MAX + 1), &fresh, (now, wall));
        assert_eq!(cache.find(URL, now), Found::Nothing);
    }
}
