//! What `[users]` means: whether the sound of those who have registered, and of some by name, is encrypted.

use std::collections::BTreeMap;
use std::sync::Arc;

use node::{SrtpPolicy, Users};

use crate::config::Values;

/// Most users that are named.
const USERS_MAX: usize = 10_000;
/// Longest name of one.
const NAME_MAX: usize = 255;
/// The lists of names, each with its policy.
const LISTS: [(&str, SrtpPolicy); 3] = [
    ("users.srtp_off", SrtpPolicy::Off),
    ("users.srtp_optional", SrtpPolicy::Optional),
    ("users.srtp_mandatory", SrtpPolicy::Mandatory),
];

/// Flags of `sidetone dev`, which say the same.
#[derive(Debug, clap::Args)]
pub struct UserArguments {
    /// Whether sound is encrypted in calls with phones that have registered, where it is not as everyone's.
    #[arg(long, value_parser = ["off", "optional", "mandatory"])]
    users_srtp: Option<String>,
    /// Users whose calls are in the clear, by the names under which they register.
    #[arg(long, value_delimiter = ',', value_name = "USERS")]
    users_srtp_off: Vec<String>,
    /// Users whose calls are encrypted where they offer it.
    #[arg(long, value_delimiter = ',', value_name = "USERS")]
    users_srtp_optional: Vec<String>,
    /// Users whose calls are always encrypted.
    #[arg(long, value_delimiter = ',', value_name = "USERS")]
    users_srtp_mandatory: Vec<String>,
}

impl UserArguments {
    /// Returns what they say of users alone.
    ///
    /// # Errors
    /// As [`users`], all in one text.
    pub fn users(&self) -> Result<Arc<Users>, String> {
        let lists = [&self.users_srtp_off, &self.users_srtp_optional, &self.users_srtp_mandatory];
        let found = of(self.users_srtp.as_deref(), lists.map(Vec::as_slice));
        found.map_err(|faults| faults.join("\n"))
    }
}

/// Returns what is said of users alone.
///
/// # Errors
/// One line for each name that cannot be, or that two lists have.
pub fn users(values: &Values) -> Result<Arc<Users>, Vec<String>> {
    of(values.text("users.srtp"), LISTS.map(|(setting, _)| values.list(setting)))
}

fn of(
    registered: Option<&str>,
    lists: [&[String]; LISTS.len()],
) -> Result<Arc<Users>, Vec<String>> {
    let (mut named, mut faults) = (BTreeMap::new(), Vec::new());
    for ((setting, policy), names) in LISTS.into_iter().zip(lists) {
        for name in names {
            match registered_name(name) {
                None => faults.push(format!(
                    "{setting}: {name:?} is no user such as \"alice\" or \"alice@sip.you.example\""
                )),
                Some(name) => {
                    let told = format!("{setting}: {name:?} is in another list as well");
                    if named.insert(name, policy).is_some_and(|before| before != policy) {
                        faults.push(told);
                    }
                }
            }
        }
    }
    if named.len() > USERS_MAX {
        faults.push(format!("users: more than {USERS_MAX} are named"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let registered = registered.and_then(node::srtp_policy);
    Ok(Arc::new(Users { registered, named }))
}

/// Returns a name as the registrar has it: the host of a domain is in lower case.
fn registered_name(name: &str) -> Option<String> {
    let (user, host) = name.split_once('@').map_or((name, None), |(user, host)| (user, Some(host)));
    let is_host = |host: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !host.is_empty() && host.chars().all(fits)
    };
    let is_user = !user.is_empty() && !user.contains([' ', ':', '<', '>', '"']);
    let fits = name.len() <= NAME_MAX && is_user && host.is_none_or(is_host);
    fits.then(|| match host {
        Some(host) => format!("{user}@{}", host.to_ascii_lowercase()),
        None => user.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags};

    fn read(variables: &[(&str, &str)]) -> Result<Arc<Users>, Vec<String>> {
        let variables = variables.iter();
        let environment =
            variables.map(|(name, text)| (format!("SIDETONE_USERS_{name}"), (*text).to_owned()));
        users(&Config::load(None, environment, &Flags::default()).unwrap().values)
    }

    #[test]
    fn each_user_has_the_policy_of_the_list_that_names_it() {
        let set = [
            ("SRTP", "optional"),
            ("SRTP_MANDATORY", "alice, carol@SIP.You.Example"),
            ("SRTP_OPTIONAL", "+15550100"),
            ("SRTP_OFF", "carol,carol"),
        ];
        let users = read(&set).unwrap();
        let expected = [
            ("+15550100", SrtpPolicy::Optional),
            ("alice", SrtpPolicy::Mandatory),
            ("carol", SrtpPolicy::Off),
            ("carol@sip.you.example", SrtpPolicy::Mandatory),
        ];
        let named = expected.map(|(name, policy)| (name.to_owned(), policy));
        assert_eq!(*users, Users { registered: Some(SrtpPolicy::Optional), named: named.into() });
        assert_eq!(read(&[]), Ok(Arc::default()));
    }

    #[test]
    fn a_name_that_cannot_be_or_is_in_two_lists_is_told() {
        let told = read(&[("SRTP_OFF", "alice"), ("SRTP_MANDATORY", "bob,alice")]).unwrap_err();
        assert_eq!(told, ["users.srtp_mandatory: \"alice\" is in another list as well"]);
        let long = "a".repeat(NAME_MAX + 1);
        for name in
            ["sip:alice", "@sip.you.example", "alice@", "alice@a b", "<alice>", "a@b@c", &long]
        {
            let told = read(&[("SRTP_OFF", name)]).unwrap_err();
            assert!(told[0].starts_with("users.srtp_off: ") && told[0].contains(name), "{told:?}");
        }
        let many: Vec<String> = (0..=USERS_MAX).map(|user| user.to_string()).collect();
        assert!(read(&[("SRTP_OFF", &many.join(","))]).unwrap_err()[0].contains("more than"));
    }
}
