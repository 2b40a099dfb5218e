//! What the API keeps as it was told: applications, numbers, SIP domains and their like.

use serde_json::{Map, Value};

use crate::words::words;
use crate::{AccountSid, Timestamp};

words! {
    /// What a kept resource is.
    Kind {
        /// An application: addresses for calls and messages under one SID.
        Application = "application",
        /// A phone number of the account.
        IncomingPhoneNumber = "incoming-phone-number",
        /// A number of others that calls may show.
        OutgoingCallerId = "outgoing-caller-id",
        /// A text message.
        Message = "message",
        /// A name under which SIP phones reach the account.
        Domain = "domain",
        /// User names and passwords of SIP phones.
        CredentialList = "credential-list",
        /// One of them.
        Credential = "credential",
        /// Addresses of SIP phones.
        IpAccessControlList = "ip-access-control-list",
        /// One of them, or a network of them.
        IpAddress = "ip-address",
        /// A credential list that opens a domain for calls.
        CallsCredentialListMapping = "calls-credential-list-mapping",
        /// A list of addresses that opens a domain for calls.
        CallsIpAccessControlListMapping = "calls-ip-access-control-list-mapping",
        /// A credential list that opens a domain for registrations.
        RegistrationsCredentialListMapping = "registrations-credential-list-mapping",
    }
}

/// A resource as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Its address in its list; that of a mapping is the mapped list's.
    pub sid: String,
    /// Whose it is.
    pub account: AccountSid,
    /// The SID of what it is a part of; empty: the account's.
    pub parent: String,
    /// What it is known by in the world: a number, a domain's name, a user's; else its name for people.
    pub name: String,
    /// Its fields, under the names that the API shows.
    pub fields: Map<String, Value>,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it was last changed.
    pub date_updated: Timestamp,
}

impl Resource {
    /// Returns a field that is text, unless it is empty.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}
