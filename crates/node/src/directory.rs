//! Whom a call in is for: the numbers, applications and SIP domains of all accounts, as the core needs them.

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Document, Instructions, StatusCallback};
use model::{AccountSid, Kind, Resource};
use store::{Store, StoreFailed};

use crate::accounts::Accounts;

/// What is done with a call to a number, an application or a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose call it is.
    pub account: AccountSid,
    /// Whether the account may be used.
    pub is_active: bool,
    /// What is asked; none: what is asked for every call.
    pub instructions: Option<Instructions>,
    /// Who is told of the end.
    pub status_callback: StatusCallback,
}

/// The lines of all accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    numbers: BTreeMap<String, Line>,
    applications: BTreeMap<String, Line>,
    /// By name, in lower case: what is done with a call, and who may make it.
    domains: BTreeMap<String, (Line, sip::Domain)>,
    /// Each account's own numbers, and those that it has verified.
    own: CallerIds,
    verified: CallerIds,
}

/// Numbers of accounts.
type CallerIds = BTreeSet<(AccountSid, String)>;

impl Line {
    fn of(resource: &Resource, accounts: &Accounts, status_callback: &str) -> Self {
        let document = |url: &str, method: &str| {
            let url = resource.text(url)?.to_owned();
            let method = resource.text(method).unwrap_or("POST").to_owned();
            Some(Document { url, method })
        };
        let field = status_callback.strip_suffix("_url").unwrap_or(status_callback);
        let told = document(status_callback, &format!("{field}_method"));
        let (url, method) = told.map(|told| (told.url, told.method)).unzip();
        Self {
            account: resource.account,
            is_active: accounts.get(resource.account).is_some_and(|account| account.is_active()),
            instructions: document("voice_url", "voice_method").map(|voice| Instructions::Url {
                document: voice,
                fallback: document("voice_fallback_url", "voice_fallback_method"),
            }),
            status_callback: StatusCallback {
                url,
                method: method.unwrap_or_default(),
                events: Vec::new(),
            },
        }
    }
}

impl Directory {
    /// Reads the tables.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn read(store: &Store, accounts: &Accounts) -> Result<Self, StoreFailed> {
        let applications: BTreeMap<String, Line> = store
            .resources_of_kind(Kind::Application)?
            .into_iter()
            .map(|one| (one.sid.clone(), Line::of(&one, accounts, "status_callback")))
            .collect();
        let mut directory = Self { applications, ..Self::default() };
        for number in store.resources_of_kind(Kind::IncomingPhoneNumber)? {
            let application = number.text("voice_application_sid");
            let line = application.and_then(|sid| directory.applications.get(sid)).cloned();
            let line = line.unwrap_or_else(|| Line::of(&number, accounts, "status_callback"));
            directory.own.insert((number.account, number.name.clone()));
            directory.numbers.insert(number.name, line);
        }
        for caller_id in store.resources_of_kind(Kind::OutgoingCallerId)? {
            if let Some(number) = caller_id.text("phone_number") {
                directory.verified.insert((caller_id.account, number.to_owned()));
            }
        }
        let lists = Lists::read(store)?;
        for domain in store.resources_of_kind(Kind::Domain)? {
            let line = Line::of(&domain, accounts, "voice_status_callback_url");
            let access = lists.access(&domain);
            directory.domains.insert(domain.name, (line, access));
        }
        Ok(directory)
    }

    /// Returns what is done with a call to a SIP domain.
    pub fn domain(&self, host: &str) -> Option<&Line> {
        self.domains.get(host).map(|(line, _)| line)
    }

    /// Whether a SIP domain is reached by TLS alone, and its calls are encrypted.
    pub fn is_secure(&self, host: &str) -> bool {
        self.domains.get(host).is_some_and(|(_, access)| access.secure)
    }

    /// Returns who may call and register under each domain.
    pub fn access(&self) -> BTreeMap<String, sip::Domain> {
        self.domains.iter().map(|(name, (_, access))| (name.clone(), access.clone())).collect()
    }

    /// Returns what a user's name stands for: the number in E.164 or the application, and its line.
    pub fn line(&self, user: &str) -> Option<(String, &Line)> {
        if let Some(number) = e164(user)
            && let Some(line) = self.numbers.get(&number)
        {
            return Some((number, line));
        }
        let line = self.applications.get(user)?;
        Some((format!("app:{user}"), line))
    }

    /// Returns each account's own numbers, and those that it has verified.
    pub fn caller_ids(&self) -> (CallerIds, CallerIds) {
        (self.own.clone(), self.verified.clone())
    }

    /// Returns whatever can be dialled as if it were a phone.
    pub fn names(&self) -> BTreeSet<String> {
        let applications = self.applications.keys().map(|sid| format!("app:{sid}"));
        self.numbers.keys().cloned().chain(applications).collect()
    }
}

/// The lists of all accounts, by SID, and which opens which domain.
struct Lists {
    credentials: BTreeMap<String, Vec<sip::Credentials>>,
    networks: BTreeMap<String, Vec<sip::Network>>,
    mappings: Vec<Resource>,
}

impl Lists {
    fn read(store: &Store) -> Result<Self, StoreFailed> {
        let mut credentials: BTreeMap<String, Vec<sip::Credentials>> = BTreeMap::new();
        for one in store.resources_of_kind(Kind::Credential)? {
            let password = one.text("password").unwrap_or_default().to_owned();
            let known = sip::Credentials { user: one.name.clone(), password };
            credentials.entry(one.parent).or_default().push(known);
        }
        let mut networks: BTreeMap<String, Vec<sip::Network>> = BTreeMap::new();
        for one in store.resources_of_kind(Kind::IpAddress)? {
            let prefix = one.fields.get("cidr_prefix_length").and_then(|prefix| prefix.as_u64());
            let prefix = prefix.and_then(|prefix| u8::try_from(prefix).ok());
            if let (Ok(address), Some(prefix)) = (one.name.parse(), prefix) {
                networks.entry(one.parent).or_default().push(sip::Network { address, prefix });
            }
        }
        let mut mappings = Vec::new();
        for kind in [
            Kind::CallsCredentialListMapping,
            Kind::CallsIpAccessControlListMapping,
            Kind::RegistrationsCredentialListMapping,
        ] {
            mappings.extend(store.resources_of_kind(kind)?);
        }
        Ok(Self { credentials, networks, mappings })
    }

    fn access(&self, domain: &Resource) -> sip::Domain {
        let of = |kind: Kind| {
            let its = move |one: &&Resource| one.kind == kind && one.parent == domain.sid;
            self.mappings.iter().filter(its).map(|one| one.sid.as_str())
        };
        let known = |kind: Kind| -> Vec<sip::Credentials> {
            of(kind).filter_map(|list| self.credentials.get(list)).flatten().cloned().collect()
        };
        let registers = domain.fields.get("sip_registration").is_some_and(|flag| flag == true);
        let lists = of(Kind::CallsIpAccessControlListMapping);
        sip::Domain {
            asks_networks: of(Kind::CallsIpAccessControlListMapping).next().is_some(),
            networks: lists.filter_map(|list| self.networks.get(list)).flatten().copied().collect(),
            asks_callers: of(Kind::CallsCredentialListMapping).next().is_some(),
            callers: known(Kind::CallsCredentialListMapping),
            secure: domain.fields.get("secure").is_some_and(|flag| flag == true),
            registrars: match registers {
                true => known(Kind::RegistrationsCredentialListMapping),
                false => Vec::new(),
            },
        }
    }
}

/// Returns a number in E.164, where the text is one with or without `+`. Source: ITU-T E.164, section 6.
pub fn e164(text: &str) -> Option<String> {
    let number = format!("+{}", text.strip_prefix('+').unwrap_or(text));
    model::is_e164(&number).then_some(number)
}
