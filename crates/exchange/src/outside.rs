//! Which telephone numbers may be called, and as whom: nothing is allowed until a trunk lists it.
//!
//! Source: ITU-T E.164, section 6; Twilio, errors 21210, 21215, 13214 and 13227.

use std::collections::BTreeSet;
use std::time::Instant;

use model::AccountSid;

use crate::exchange::World;
use crate::{Dialling, Refusal};

/// What one trunk may be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrunkRules {
    /// The beginnings of the numbers that it is asked for, each with `+`.
    pub prefixes: Vec<String>,
    /// The beginnings of the numbers that may be called by it.
    pub allow: Vec<String>,
    /// The beginnings of those that may not be: the longer beginning decides.
    pub deny: Vec<String>,
    /// The beginnings of the numbers that may be shown by it, beside an account's own.
    pub caller_ids: Vec<String>,
    /// What is shown where nothing else may be.
    pub caller_id: Option<String>,
    /// Whether an account may show what it has verified.
    pub verified: bool,
}

impl TrunkRules {
    /// Whether a number in E.164 may be called by it.
    pub fn allows(&self, number: &str) -> bool {
        let longest = |beginnings: &[String]| {
            let fitting = beginnings.iter().filter(|one| number.starts_with(one.as_str()));
            fitting.map(String::len).max()
        };
        let routed = longest(&self.prefixes).is_some();
        routed && longest(&self.allow).is_some() && longest(&self.allow) > longest(&self.deny)
    }

    /// Whether a number may be shown that is not an account's own.
    fn shows(&self, number: &str) -> bool {
        self.caller_ids.iter().any(|one| number.starts_with(one.as_str()))
    }
}

/// The telephone network, as far as trunks lead there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// In the order in which they are asked.
    pub trunks: Vec<TrunkRules>,
    /// The numbers of each account's own.
    pub own: BTreeSet<(AccountSid, String)>,
    /// The numbers that each account has verified.
    pub verified: BTreeSet<(AccountSid, String)>,
}

impl Outside {
    /// Returns what a trunk shows for a call of an account; nothing where it may show nothing.
    ///
    /// `from` is empty where the trunk is to show its own number.
    pub fn shown<'a>(
        &'a self,
        trunk: &'a TrunkRules,
        account: AccountSid,
        from: &'a str,
    ) -> Option<&'a str> {
        let key = (account, from.to_owned());
        let may = trunk.shows(from)
            || self.own.contains(&key)
            || (trunk.verified && self.verified.contains(&key));
        match is_number(from) {
            true => may.then_some(from),
            false => trunk.caller_id.as_deref(),
        }
    }

    /// Returns as whom a number is called: `from` where it may be shown, else nobody in particular, where the one who
    /// calls did not insist.
    pub(crate) fn caller(
        &self,
        account: AccountSid,
        to: &str,
        from: &str,
        insists: bool,
    ) -> Result<String, Refusal> {
        let mut allowed = self.trunks.iter().filter(|trunk| trunk.allows(to)).peekable();
        if allowed.peek().is_none() {
            return Err(Refusal::DestinationNotAllowed(to.to_owned()));
        }
        let allowed: Vec<&TrunkRules> = allowed.collect();
        let may = |from: &str| allowed.iter().any(|one| self.shown(one, account, from).is_some());
        if is_number(from) && may(from) {
            Ok(from.to_owned())
        } else if may("") && !(insists && is_number(from)) {
            Ok(String::new())
        } else {
            Err(Refusal::CallerIdNotAllowed(from.to_owned()))
        }
    }
}

/// Whether a text is a telephone number in E.164.
pub(crate) fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|octet| octet.is_ascii_digit())
    })
}

/// Whom to call a number as, where it has not been said: the caller, or the number that was called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) account: AccountSid,
    pub(crate) from: &'a str,
    /// Whether nobody else may be shown.
    pub(crate) insists: bool,
    /// Who is shown where `from` may not be.
    pub(crate) instead: &'a str,
}

impl World {
    /// Refuses what the API wants dialled where it cannot or may not be.
    pub(crate) fn check_dialling(
        &mut self,
        account: AccountSid,
        dialling: &mut Dialling,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check_calls(account, now)?;
        let from = dialling.caller_id.as_deref().unwrap_or(&dialling.from);
        let caller = Caller { account, from, insists: true, instead: "" };
        if let Some(from) = self.check_reachable(&dialling.to, caller)? {
            dialling.caller_id = Some(from);
        }
        Ok(())
    }

    /// Refuses an address that nobody answers to; a number or name is a registered user's, ours, or a trunk leads
    /// there. Returns as whom it is called, where that is not who asks.
    pub(crate) fn check_reachable(
        &self,
        to: &str,
        caller: Caller<'_>,
    ) -> Result<Option<String>, Refusal> {
        let scheme = to.split_once(':').map_or("", |(scheme, _)| scheme);
        let sip = ["sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let user = to.strip_prefix("client:").unwrap_or(to);
        let user = user.split('?').next().unwrap_or(user);
        if sip || self.registered.contains(user) || self.numbers.contains(user) {
            return Ok(None);
        }
        let allowed = self.outside.trunks.iter().any(|trunk| trunk.allows(to));
        if self.every_number_rings && model::is_e164(to) && !allowed {
            return Ok(None);
        }
        if self.outside.trunks.is_empty() || !is_number(to) {
            return Err(Refusal::Unreachable(to.to_owned()));
        }
        let Caller { account, from, insists, instead } = caller;
        let as_whom = self.outside.caller(account, to, from, insists);
        let as_whom = match as_whom {
            Err(Refusal::CallerIdNotAllowed(_)) if !insists => {
                self.outside.caller(account, to, instead, true)
            }
            other => other,
        };
        as_whom.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountSid = AccountSid::new([1; 16]);
    const OTHER: AccountSid = AccountSid::new([2; 16]);

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn trunk(allow: &[&str], deny: &[&str]) -> TrunkRules {
        TrunkRules {
            prefixes: list(&["+"]),
            allow: list(allow),
            deny: list(deny),
            ..TrunkRules::default()
        }
    }

    #[test]
    fn nothing_is_allowed_until_it_is_listed_and_the_longer_beginning_decides() {
        let check = |rules: &TrunkRules, number: &str, expected: bool| {
            assert_eq!(rules.allows(number), expected, "{number} by {rules:?}");
        };
        check(&trunk(&[], &[]), "+14155550100", false);
        let rules = trunk(&["+1", "+1900555"], &["+1900", "+1876", "+1"]);
        check(&rules, "+14155550100", false);
        let rules = trunk(&["+1", "+1900555"], &["+1900", "+1876"]);
        check(&rules, "+14155550100", true);
        check(&rules, "+19001234567", false);
        check(&rules, "+18765550100", false);
        check(&rules, "+19005550100", true);
        check(&rules, "+442079460000", false);
        let london = TrunkRules { prefixes: list(&["+4420"]), ..trunk(&["+44"], &[]) };
        check(&london, "+442079460000", true);
        check(&london, "+441214960000", false);
    }

    #[test]
    fn a_caller_shows_its_own_number_or_what_a_trunk_lists() {
        let rules = TrunkRules { caller_ids: list(&["+1415555"]), ..trunk(&["+1"], &[]) };
        let mut outside = Outside { trunks: vec![rules], ..Outside::default() };
        outside.own.insert((ACCOUNT, "+12125550100".to_owned()));
        outside.verified.insert((ACCOUNT, "+13055550100".to_owned()));
        let to = "+16175550100";
        let check = |outside: &Outside, account, from: &str, insists, expected: Option<&str>| {
            let caller = outside.caller(account, to, from, insists).ok();
            assert_eq!(caller.as_deref(), expected, "{from}");
        };
        check(&outside, ACCOUNT, "+14155550100", true, Some("+14155550100"));
        check(&outside, ACCOUNT, "+12125550100", true, Some("+12125550100"));
        check(&outside, OTHER, "+12125550100", true, None);
        check(&outside, ACCOUNT, "+13055550100", true, None);
        check(&outside, ACCOUNT, "client:alice", true, None);
        outside.trunks[0].verified = true;
        check(&outside, ACCOUNT, "+13055550100", true, Some("+13055550100"));
        outside.trunks[0].caller_id = Some("+14155550199".to_owned());
        check(&outside, ACCOUNT, "client:alice", true, Some(""));
        check(&outside, ACCOUNT, "+18005550100", true, None);
        check(&outside, ACCOUNT, "+18005550100", false, Some(""));
        let far = outside.caller(ACCOUNT, "+442079460000", "+12125550100", true);
        assert_eq!(far, Err(Refusal::DestinationNotAllowed("+442079460000".to_owned())));
    }

    #[test]
    fn a_number_has_seven_to_fifteen_digits_and_begins_with_a_countrys() {
        for (text, expected) in [
            ("+14155550100", true),
            ("14155550100", false),
            ("+04155550100", false),
            ("+911", false),
            ("+1415555010a", false),
            ("+1234567890123456", false),
        ] {
            assert_eq!(is_number(text), expected, "{text}");
        }
    }
}
