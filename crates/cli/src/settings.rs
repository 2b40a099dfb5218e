//! What a configuration means: values of different settings that must fit each other, and what the server is made of.

mod trunks;
pub mod users;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use node::{Guard, Locality, NumberRange, NumberType};

use crate::config::{Config, Values, ports};
use crate::tls::Files;

/// Shortest pause between two looks for what is kept no longer.
const SWEEP_MIN: Duration = Duration::from_secs(1);
/// Shortest and longest token.
const TOKEN: std::ops::RangeInclusive<usize> = 32..=128;

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node; where the API is reached is added when it listens.
    pub node: node::Config,
    /// How long calls may go on after SIGTERM.
    pub drain_limit: Duration,
    /// Where the API's certificate is; none: it is served without TLS.
    pub tls: Option<Files>,
    /// Where the certificate for SIP is; none: it is spoken without TLS alone.
    pub sip_tls: Option<Files>,
    /// Where to write that everything listens.
    pub ready_file: Option<PathBuf>,
}

impl Settings {
    /// Makes them of a configuration.
    ///
    /// # Errors
    /// One line for each pair of values that do not fit.
    pub fn of(config: &Config) -> Result<Self, String> {
        let values = &config.values;
        let mut faults = Vec::new();
        let account = account(values).unwrap_or_else(|told| {
            faults.push(told);
            None
        });
        let mut stock = Vec::new();
        for entry in config.list("numbers") {
            match range(entry) {
                Ok(range) => stock.push(range),
                Err(told) => faults.push(told),
            }
        }
        let trunks = trunks::trunks(config).unwrap_or_else(|told| {
            faults.extend(told);
            Vec::new()
        });
        let tls = files(values, "tls", &mut faults);
        let (sip_files, sip_tls) = sip_tls(values, &mut faults);
        if let Some(trunk) = trunks.iter().find(|trunk| trunk.speaks_tls() && sip_tls.is_none()) {
            faults.push(format!("trunks: {}: uri: TLS needs sip_tls.address", trunk.name));
        }
        let srtp = values.text("srtp").unwrap_or_default();
        let mut terms = node::terms(values.list("codecs"), srtp).unwrap_or_else(|told| {
            faults.push(told);
            node::Terms::telephone()
        });
        terms.users = users::users(values).unwrap_or_else(|told| {
            faults.extend(told);
            Arc::default()
        });
        let threads = values.number("media_threads");
        let threads = usize::try_from(threads).unwrap_or(node::THREADS_MAX);
        let media_threads = node::Threads::of(threads, values.list("media_cores"));
        let media_threads = media_threads.unwrap_or_else(|told| {
            faults.push(told);
            node::Threads::default()
        });
        if let Some(Err(told)) = tls.as_ref().map(Files::read) {
            faults.push(told);
        }
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        let ports = values.text("rtp_ports").and_then(ports);
        let node = node::Config {
            data: values.path("data").expect("it has a default"),
            sip: values.address("sip"),
            rtp_ports: ports.expect("it was checked when it was read"),
            advertise: values.ip("advertise"),
            sip_tls,
            sip_auth: true,
            sip_md5_alone: values.text("sip_digest") == Some("md5"),
            voice_url: values.text("voice_url").map(str::to_owned),
            names_are_rooms: false,
            guard: Guard {
                loopback: values.flag("guard.loopback"),
                private: values.flag("guard.private"),
            },
            callbacks: match values.text("callbacks.delivery") {
                Some("until-delivered") => node::Delivery::UntilDelivered,
                _ => node::Delivery::Twilio,
            },
            api_url: values.text("api_url").unwrap_or_default().trim_end_matches('/').to_owned(),
            open_recordings: values.flag("open_recordings"),
            dual_conference_recordings: values.flag("dual_conference_recordings"),
            stock,
            messages: false,
            virtual_phones: None,
            account,
            limits: limits(values),
            trunks,
            retention: node::Retention {
                rows: values.time("retention.rows"),
                recordings: values.time("retention.recordings"),
                recordings_size: values.size("retention.recordings_size"),
                every: values.time("retention.every").unwrap_or_default().max(SWEEP_MIN),
            },
            recogniser: values.text("recogniser").map(str::to_owned),
            terms,
            media_threads,
            twiml_bins: values.path("twiml_bins"),
        };
        Ok(Self {
            node,
            drain_limit: values.time("drain_limit").unwrap_or_default(),
            tls,
            sip_tls: sip_files,
            ready_file: values.path("ready_file"),
        })
    }
}

/// Returns where a section's certificate is.
fn files(values: &Values, section: &str, faults: &mut Vec<String>) -> Option<Files> {
    let [certificate, key] = ["certificate_file", "key_file"].map(|of| format!("{section}.{of}"));
    match (values.path(&certificate), values.path(&key)) {
        (Some(certificate), Some(key)) => Some(Files { certificate, key }),
        (None, None) => None,
        _ => {
            faults.push(format!("{certificate} and {key} are set together, or neither"));
            None
        }
    }
}

/// Returns where the certificate for SIP is, and what SIP over TLS is made of.
fn sip_tls(values: &Values, faults: &mut Vec<String>) -> (Option<Files>, Option<node::SipTls>) {
    let files = files(values, "sip_tls", faults);
    let listens = values.text("sip_tls.address").is_some();
    if listens != files.is_some() {
        let told = "sip_tls.address is set together with its certificate_file and key_file";
        faults.push(told.to_owned());
    }
    let made = files.as_ref().filter(|_| listens).map(|files| {
        let authorities = values.path("sip_tls.ca_file");
        files.sip_tls(values.address("sip_tls.address"), authorities.as_deref())
    });
    match made.transpose() {
        Ok(made) => (files, made),
        Err(told) => {
            faults.push(told);
            (None, None)
        }
    }
}

/// Returns what one account may have at once.
fn limits(values: &Values) -> node::Limits {
    let number = |name| usize::try_from(values.number(name)).unwrap_or(usize::MAX);
    let account = node::AccountLimits {
        calls_per_second: u32::try_from(values.number("limits.calls_per_second")).ok(),
        calls: number("limits.calls"),
        conferences: number("limits.conferences"),
    };
    node::Limits { api_concurrency: number("limits.api_concurrency"), account }
}

/// Returns the account's SID and token, where they are not to be made.
fn account(values: &Values) -> Result<Option<(node::AccountSid, String)>, String> {
    let (sid, token) = match (values.text("account_sid"), values.text("auth_token")) {
        (None, None) => return Ok(None),
        (Some(sid), Some(token)) => (sid, token),
        _ => return Err("account_sid and auth_token are set together, or neither".to_owned()),
    };
    let sid =
        sid.parse().map_err(|_| format!("account_sid: {sid:?} is not AC and 32 hex digits"))?;
    let varied: std::collections::BTreeSet<char> = token.chars().collect();
    let strong = TOKEN.contains(&token.len()) && varied.len() >= 8;
    if !strong || !token.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(
            "auth_token: it is not 32 to 128 letters and digits, of eight kinds at least; \
                    `openssl rand -hex 16` makes one"
                .to_owned(),
        );
    }
    Ok(Some((sid, token.to_owned())))
}

fn range(entry: &Values) -> Result<NumberRange, String> {
    let first = entry.text("first").unwrap_or_default();
    let number = node::e164(first).filter(|_| first.starts_with('+'));
    let number = number.and_then(|number| number[1..].parse().ok());
    let first = number.ok_or_else(|| format!("numbers: first: {first:?} is no number in E.164"))?;
    let text = |name| entry.text(name).unwrap_or_default().to_owned();
    let country_code = text("country");
    if country_code.len() != 2 || !country_code.bytes().all(|octet| octet.is_ascii_uppercase()) {
        return Err(format!("numbers: country: {country_code:?} is not two letters such as US"));
    }
    let place = entry.text("locality").map(|locality| Locality {
        locality: locality.to_owned(),
        region: text("region"),
        postal_code: text("postal_code"),
        latitude: 0.0,
        longitude: 0.0,
        lata: String::new(),
    });
    Ok(NumberRange {
        first,
        count: entry.number("count"),
        number_type: match entry.text("type") {
            Some("mobile") => NumberType::Mobile,
            Some("tollfree") => NumberType::TollFree,
            _ => NumberType::Local,
        },
        country: entry.text("country_name").unwrap_or(&country_code).to_owned(),
        country_code,
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let environment =
            variables.iter().map(|(name, text)| (format!("SIDETONE_{name}"), (*text).to_owned()));
        Settings::of(&Config::load(None, environment, &Flags::default()).unwrap())
    }

    #[test]
    fn production_is_strict_before_anyone_sets_anything() {
        let node = read(&[]).unwrap().node;
        assert!(node.sip_auth && !node.messages && !node.names_are_rooms && !node.open_recordings);
        assert_eq!(node.guard, Guard { loopback: false, private: false });
        assert!(node.stock.is_empty() && node.account.is_none());
    }

    #[test]
    fn a_weak_token_or_half_an_account_is_refused() {
        let sid = format!("AC{}", "5".repeat(32));
        let check = |sid: &str, token: &str, fault: &str| {
            let told = read(&[("ACCOUNT_SID", sid), ("AUTH_TOKEN", token)]).unwrap_err();
            assert!(told.contains(fault), "{told}");
            assert!(token.is_empty() || !told.contains(token), "the token is shown: {told}");
        };
        check(&sid, "", "together");
        check("", "0123456789abcdef0123456789abcdef", "together");
        check("AC1", "0123456789abcdef0123456789abcdef", "account_sid");
        check(&sid, "0123456789abcdef", "auth_token");
        check(&sid, &"1".repeat(32), "auth_token");
        let strong =
            [("ACCOUNT_SID", sid.as_str()), ("AUTH_TOKEN", "0123456789abcdef0123456789abcdef")];
        assert!(read(&strong).unwrap().node.account.is_some());
    }
}
