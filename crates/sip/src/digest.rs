//! Digest authentication, both ways.
//!
//! Source: RFC 8760, RFC 7616 sections 3.3 and 3.4, RFC 3261 section 22.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// How long a nonce may be used.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(60);
/// Nonces in use whose counts are remembered; the oldest make room.
pub const NONCES_MAX: usize = 10_000;
/// What we guard, as people are shown it.
const REALM: &str = "sidetone";

/// A name and what proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The secret; it is never printed.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// What answers a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who we are there.
    pub credentials: Credentials,
    /// The realm that may ask for them; none: any.
    pub realm: Option<String>,
}

impl From<Credentials> for Proof {
    fn from(credentials: Credentials) -> Self {
        Self { credentials, realm: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Md5,
}

/// In the order in which we offer them.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    fn named(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("MD5");
        ALGORITHMS.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It proves nothing, or the wrong thing.
    Unproven,
    /// Its nonce is too old, or its count did not rise: the same secret with a new nonce will do.
    Stale,
}

/// The guard of one realm: it makes nonces and judges what comes back.
#[derive(Debug)]
pub struct Gate {
    secret: [u8; 32],
    epoch: Option<Instant>,
    made: u64,
    /// The highest count that came with each nonce in use, and the nonces in order of first use.
    counts: BTreeMap<String, u32>,
    order: VecDeque<String>,
}

impl Gate {
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, epoch: None, made: 0, counts: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Returns the values of `WWW-Authenticate`, strongest first, or MD5's alone.
    pub fn challenges(&mut self, stale: bool, md5_alone: bool, now: Instant) -> Vec<String> {
        self.made += 1;
        let seconds = now.saturating_duration_since(*self.epoch.get_or_insert(now)).as_secs();
        let nonce = self.nonce(seconds, self.made);
        let stale = if stale { ", stale=true" } else { "" };
        let challenge = |algorithm: Algorithm| {
            let name = algorithm.name();
            format!(
                "Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}"
            )
        };
        let offered = |algorithm: &Algorithm| !md5_alone || *algorithm == Algorithm::Md5;
        ALGORITHMS.into_iter().filter(offered).map(challenge).collect()
    }

    /// Judges the value of an `Authorization`: one of `known` proves itself.
    pub fn judge(
        &mut self,
        authorization: Option<&str>,
        (method, uri): (&str, &str),
        known: &[Credentials],
        now: Instant,
    ) -> Result<(), Denied> {
        let fields = authorization.and_then(parse).ok_or(Denied::Unproven)?;
        let field = |name: &str| fields.get(name).map(String::as_str);
        let user = field("username");
        let known = known.iter().find(|one| user == Some(&one.user)).ok_or(Denied::Unproven)?;
        let algorithm = Algorithm::named(field("algorithm")).ok_or(Denied::Unproven)?;
        let (Some(nonce), Some(response)) = (field("nonce"), field("response")) else {
            return Err(Denied::Unproven);
        };
        let issued = self.issued(nonce).ok_or(Denied::Unproven)?;
        let wanted = answer(algorithm, known, (method, uri), &fields);
        let named = field("realm") == Some(REALM);
        if !named || field("uri") != Some(uri) || !wanted.eq_ignore_ascii_case(response) {
            return Err(Denied::Unproven);
        }
        if now.saturating_duration_since(issued) > NONCE_LIFETIME {
            return Err(Denied::Stale);
        }
        let count = match field("qop") {
            Some(_) => field("nc").and_then(|nc| u32::from_str_radix(nc, 16).ok()),
            None => Some(1),
        };
        self.count(nonce, count.ok_or(Denied::Unproven)?)
    }

    /// A count must rise: what came once is never let in again.
    fn count(&mut self, nonce: &str, count: u32) -> Result<(), Denied> {
        match self.counts.get_mut(nonce) {
            Some(last) if count <= *last => return Err(Denied::Stale),
            Some(last) => *last = count,
            None => {
                if self.order.len() >= NONCES_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.counts.remove(&oldest);
                }
                self.counts.insert(nonce.to_owned(), count);
                self.order.push_back(nonce.to_owned());
            }
        }
        Ok(())
    }

    /// A nonce says when it was made, and proves that we made it: none is kept before its first use.
    fn nonce(&self, seconds: u64, number: u64) -> String {
        let mut keyed = self.secret.to_vec();
        keyed.extend(seconds.to_be_bytes());
        keyed.extend(number.to_be_bytes());
        keyed.extend(self.secret);
        format!("{seconds:016x}{number:016x}{}", &hex(&Sha256::digest(&keyed))[..32])
    }

    fn issued(&self, nonce: &str) -> Option<Instant> {
        let seconds = u64::from_str_radix(nonce.get(..16)?, 16).ok()?;
        let number = u64::from_str_radix(nonce.get(16..32)?, 16).ok()?;
        let ours = self.nonce(seconds, number) == nonce;
        ours.then_some(self.epoch? + Duration::from_secs(seconds))
    }
}

/// Returns the name that an `Authorization` claims.
pub fn claimed(value: &str) -> Option<String> {
    parse(value)?.remove("username")
}

/// Whether an `Authorization` is of a scheme that we know.
pub fn is_digest(value: &str) -> bool {
    parse(value).is_some()
}

/// Answers the challenges of a 401 or 407, of the realm that may ask, by the strongest that we know; returns the
/// value of `Authorization`.
pub fn authorize<'a>(
    challenges: impl Iterator<Item = &'a str>,
    (method, uri): (&str, &str),
    Proof { credentials, realm: of }: &Proof,
    cnonce: &str,
) -> Option<String> {
    let may_ask = |fields: &Fields| of.is_none() || fields.get("realm") == of.as_ref();
    let parsed: Vec<_> = challenges.filter_map(parse).filter(may_ask).collect();
    let (algorithm, challenge) = ALGORITHMS.into_iter().find_map(|algorithm| {
        let asks = |c: &&Fields| Algorithm::named(c.get("algorithm").map(String::as_str));
        let found = parsed.iter().find(|challenge| asks(challenge) == Some(algorithm));
        Some((algorithm, found?))
    })?;
    let (realm, nonce) = (challenge.get("realm")?, challenge.get("nonce")?);
    let mut fields = challenge.clone();
    let with_qop =
        challenge.get("qop").is_some_and(|qop| qop.split(',').any(|one| one.trim() == "auth"));
    fields.remove("qop");
    if with_qop {
        for (name, value) in [("qop", "auth"), ("nc", "00000001"), ("cnonce", cnonce)] {
            fields.insert(name.to_owned(), value.to_owned());
        }
    }
    let response = answer(algorithm, credentials, (method, uri), &fields);
    let (user, name) = (&credentials.user, algorithm.name());
    let mut value = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={name}"
    );
    if with_qop {
        let _ = write!(value, ", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
    }
    if let Some(opaque) = challenge.get("opaque") {
        let _ = write!(value, ", opaque=\"{opaque}\"");
    }
    Some(value)
}

fn answer(
    algorithm: Algorithm,
    credentials: &Credentials,
    (method, uri): (&str, &str),
    fields: &Fields,
) -> String {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let (user, password) = (&credentials.user, &credentials.password);
    let secret = algorithm.hash(&format!("{user}:{}:{password}", field("realm")));
    let asked = algorithm.hash(&format!("{method}:{uri}"));
    let nonce = field("nonce");
    algorithm.hash(&if fields.contains_key("qop") {
        let (nc, cnonce, qop) = (field("nc"), field("cnonce"), field("qop"));
        format!("{secret}:{nonce}:{nc}:{cnonce}:{qop}:{asked}")
    } else {
        format!("{secret}:{nonce}:{asked}")
    })
}

type Fields = BTreeMap<String, String>;

/// Reads `Digest name=value, name="value"`; nothing for another scheme.
fn parse(value: &str) -> Option<Fields> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut fields = Fields::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            quoted.split_once('"')?
        } else {
            after.split_once(',').map_or((after, ""), |(value, after)| (value, after))
        };
        fields.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Some(fields)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa() -> Credentials {
        Credentials { user: "Mufasa".to_owned(), password: "Circle of Life".to_owned() }
    }

    #[test]
    fn the_example_of_rfc_7616_is_answered_as_it_says() {
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let asked = ("GET", "/dir/index.html");
            let challenge = challenge(algorithm);
            let value =
                authorize([challenge.as_str()].into_iter(), asked, &mufasa().into(), cnonce);
            assert!(value.unwrap().contains(&format!("response=\"{response}\"")), "{algorithm}");
        }
    }

    #[test]
    fn a_challenge_of_another_realm_than_the_one_that_may_ask_is_not_answered() {
        let proof = Proof { credentials: mufasa(), realm: Some("trunk.example".to_owned()) };
        let answer = |realm: &str| {
            let challenge = format!("Digest realm=\"{realm}\", nonce=\"n\", algorithm=MD5");
            authorize([challenge.as_str()].into_iter(), ("INVITE", "sip:a@b"), &proof, "c")
        };
        assert!(answer("trunk.example").is_some());
        assert_eq!(answer("evil.example"), None);
        let unnamed = "Digest nonce=\"n\", algorithm=MD5";
        assert_eq!(authorize([unnamed].into_iter(), ("INVITE", "sip:a@b"), &proof, "c"), None);
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // An epoch.
    fn a_proof_is_taken_once_and_not_for_long() {
        let now = Instant::now();
        let mut gate = Gate::new([7; 32]);
        let asked = ("REGISTER", "sip:sidetone");
        let challenges = gate.challenges(false, false, now);
        assert!(challenges[0].contains("SHA-256") && challenges[1].contains("MD5"));
        let alone = gate.challenges(false, true, now);
        assert!(alone.len() == 1 && alone[0].contains("MD5"));
        let prove = |challenge: &str, credentials: &Credentials| {
            authorize([challenge].into_iter(), asked, &credentials.clone().into(), "c").unwrap()
        };
        for challenge in &challenges {
            let proof = prove(challenge, &mufasa());
            let mut gate = Gate { epoch: gate.epoch, ..Gate::new([7; 32]) };
            let other = ("INVITE", asked.1);
            assert_eq!(
                gate.judge(Some(&proof), other, &[mufasa()], now),
                Err(Denied::Unproven),
                "a proof for another method"
            );
            assert_eq!(gate.judge(Some(&proof), asked, &[mufasa()], now), Ok(()));
            assert_eq!(gate.judge(Some(&proof), asked, &[mufasa()], now), Err(Denied::Stale));
        }
        let proof = prove(&challenges[0], &mufasa());
        let later = now + NONCE_LIFETIME + Duration::from_secs(1);
        assert_eq!(gate.judge(Some(&proof), asked, &[mufasa()], later), Err(Denied::Stale));
        let wrong = Credentials { password: "wrong".to_owned(), ..mufasa() };
        let proof = prove(&challenges[0], &wrong);
        assert_eq!(gate.judge(Some(&proof), asked, &[mufasa()], now), Err(Denied::Unproven));
        assert_eq!(gate.judge(None, asked, &[mufasa()], now), Err(Denied::Unproven));
        let realm = prove(&challenges[0].replace("realm=\"sidetone\"", "realm=\"x\""), &mufasa());
        assert_eq!(gate.judge(Some(&realm), asked, &[mufasa()], now), Err(Denied::Unproven));
        let elsewhere = ("REGISTER", "sip:elsewhere");
        let proof = prove(&challenges[1], &mufasa());
        assert_eq!(gate.judge(Some(&proof), elsewhere, &[mufasa()], now), Err(Denied::Unproven));
        let forged = prove(&challenges[0].replace("nonce=\"0", "nonce=\"1"), &mufasa());
        assert_eq!(gate.judge(Some(&forged), asked, &[mufasa()], now), Err(Denied::Unproven));
    }
}
