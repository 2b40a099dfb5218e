//! What an entry of `[[trunks]]` means.

use std::net::IpAddr;

use node::{Credentials, Network, Proof, Trunk, TrunkRules, e164};

use crate::config::{Config, Values};

/// Most trunks.
const TRUNKS_MAX: usize = 100;
/// Longest name of one.
const NAME_MAX: usize = 64;

/// Returns the trunks, in order.
///
/// # Errors
/// One line for each that cannot be.
pub fn trunks(config: &Config) -> Result<Vec<Trunk>, Vec<String>> {
    let (mut trunks, mut faults) = (Vec::<Trunk>::new(), Vec::new());
    for entry in config.list("trunks") {
        match trunk(entry) {
            Ok(trunk) if trunks.iter().any(|one| one.name == trunk.name) => {
                faults.push(format!("trunks: two have the name {:?}", trunk.name));
            }
            Ok(trunk) => trunks.push(trunk),
            Err(told) => faults.push(format!("trunks: {told}")),
        }
    }
    if trunks.len() > TRUNKS_MAX {
        faults.push(format!("trunks: there are more than {TRUNKS_MAX}"));
    }
    if faults.is_empty() { Ok(trunks) } else { Err(faults) }
}

fn trunk(entry: &Values) -> Result<Trunk, String> {
    let text = |name| entry.text(name).map(str::to_owned);
    let name = text("name").ok_or("one has no name")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > NAME_MAX || !name.chars().all(is_name) {
        return Err(format!("{name:?} is not {NAME_MAX} or less of a-z A-Z 0-9 - _ ."));
    }
    let told = |setting: &str, what: &str| format!("{name}: {setting}: {what}");
    let uri = text("uri");
    if let Some(uri) = &uri
        && !Trunk::can_be_called(uri)
    {
        return Err(told("uri", "it is no address such as \"sip:sip.carrier.example:5060\""));
    }
    let proof = match (text("username"), text("password"), text("realm")) {
        (None, None, None) => None,
        (Some(user), Some(password), Some(realm)) => {
            Some(Proof { credentials: Credentials { user, password }, realm: Some(realm) })
        }
        _ => return Err(told("username", "it goes together with password and realm")),
    };
    let register = entry.time("register");
    if register.is_some_and(|time| time.as_secs() < 60) {
        return Err(told("register", "it is shorter than 60s"));
    }
    if register.is_some() && (uri.is_none() || proof.is_none()) {
        return Err(told("register", "it needs uri, username, password and realm"));
    }
    let callers = match (text("inbound_username"), text("inbound_password")) {
        (None, None) => Vec::new(),
        (Some(user), Some(password)) => vec![Credentials { user, password }],
        _ => return Err(told("inbound_username", "it goes together with inbound_password")),
    };
    let networks: Result<_, String> =
        entry.list("networks").iter().map(|one| network(one)).collect();
    let prefixes = beginnings(entry, "prefixes").map_err(|what| told("prefixes", &what))?;
    let caller_id = text("caller_id");
    if caller_id.as_ref().is_some_and(|number| e164(number).as_ref() != Some(number)) {
        return Err(told("caller_id", "it is no number in E.164"));
    }
    let number = |name| usize::try_from(entry.number(name)).unwrap_or(usize::MAX);
    Ok(Trunk {
        rules: TrunkRules {
            prefixes: if prefixes.is_empty() { vec!["+".to_owned()] } else { prefixes },
            allow: beginnings(entry, "allow").map_err(|what| told("allow", &what))?,
            deny: beginnings(entry, "deny").map_err(|what| told("deny", &what))?,
            caller_ids: beginnings(entry, "caller_ids")
                .map_err(|what| told("caller_ids", &what))?,
            caller_id,
            verified: entry.flag("verified_caller_ids"),
        },
        uri,
        proof,
        register,
        plain_digits: entry.flag("plain_digits"),
        calls_per_second: number("calls_per_second"),
        calls: number("calls"),
        calls_per_day: number("calls_per_day"),
        probe_every: entry.time("probe_every").filter(|time| !time.is_zero()),
        networks: networks.map_err(|what| told("networks", &what))?,
        callers,
        srtp: entry.text("srtp").and_then(node::srtp_policy),
        name,
    })
}

/// Returns the beginnings of numbers that a setting lists.
fn beginnings(entry: &Values, name: &str) -> Result<Vec<String>, String> {
    let is_beginning = |one: &str| {
        one.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|o| o.is_ascii_digit()))
    };
    let list = entry.list(name);
    match list.iter().find(|one| !is_beginning(one)) {
        Some(wrong) => Err(format!("{wrong:?} does not begin as a number in E.164 does: \"+44\"")),
        None => Ok(list.to_vec()),
    }
}

/// Reads `192.0.2.0/24` or `192.0.2.1`.
fn network(text: &str) -> Result<Network, String> {
    let told = || format!("{text:?} is no network such as \"192.0.2.0/24\"");
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().map_err(|_| told())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| told())?;
    // One that holds every address would let everyone call.
    if (1..=most).contains(&prefix) { Ok(Network { address, prefix }) } else { Err(told()) }
}
