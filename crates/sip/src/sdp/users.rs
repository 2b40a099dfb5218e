//! Whether the sound of users is encrypted, where it is not as everyone's.

use std::collections::BTreeMap;

use super::SrtpPolicy;

/// What is said of users alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// Of all who have registered; none: as of everyone.
    pub registered: Option<SrtpPolicy>,
    /// Of some, before that, by the names under which they register: `alice`, `alice@domain` in a domain of ours.
    pub named: BTreeMap<String, SrtpPolicy>,
}

impl Users {
    /// Returns what is said of a user that is called.
    pub fn of_called(&self, name: &str, has_registered: bool) -> Option<SrtpPolicy> {
        self.named.get(name).copied().or_else(|| self.registered.filter(|_| has_registered))
    }

    /// Returns what is said of a caller: of the name that it says to have, whether or not it has registered under that
    /// from where it calls, and of the one that it has proven to have. The stricter decides.
    pub(crate) fn of_caller(
        &self,
        said: &str,
        has_registered: bool,
        proven: Option<&str>,
    ) -> Option<SrtpPolicy> {
        // To say a name is not enough for less protection, and enough for more.
        let is_meant = |policy: &SrtpPolicy| has_registered || *policy == SrtpPolicy::Mandatory;
        let of_said = self.named.get(said).copied().filter(is_meant);
        let of_proven = proven.and_then(|name| self.named.get(name).copied());
        of_said.max(of_proven).or_else(|| self.registered.filter(|_| has_registered))
    }
}
