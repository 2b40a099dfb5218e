//! A core for tests: every port is free, and one phone's address is dialled.

use std::time::Instant;

use exchange::{Command, CreateCall, Dialling, Instructions, StatusCallback};
use media::LegId;
use model::{Account, AccountSid, Now, Timestamp};

use crate::core::{Core, PortPairs, Settings};

pub const ACCOUNT: AccountSid = AccountSid::new([7; 16]);

struct Ports;

impl PortPairs for Ports {
    fn open(&mut self, _: LegId) -> Option<u16> {
        Some(20_000)
    }
}

pub fn now() -> Now {
    Now { instant: Instant::now(), wall: Timestamp(0) }
}

pub fn core(now: Now) -> Core {
    core_with(sip::Terms::telephone(), now)
}

/// A core that agrees on sound by these terms.
pub fn core_with(terms: sip::Terms, now: Now) -> Core {
    let account = Account {
        sid: ACCOUNT,
        friendly_name: String::new(),
        owner: ACCOUNT,
        status: model::AccountStatus::Active,
        auth_token: "token".to_owned(),
        date_created: now.wall,
        date_updated: now.wall,
    };
    let settings = Settings {
        account,
        sip: "127.0.0.1:5060".parse().unwrap(),
        sip_auth: false,
        sip_md5_alone: false,
        voice_url: None,
        names_are_rooms: true,
        guard: webhook::Guard { loopback: true, private: false },
        api_url: String::new(),
        dual_conference_recordings: false,
        recognises: false,
        virtual_phones: None,
        terms,
        sip_tls: None,
    };
    Core::new(settings, [1; 32], Box::new(Ports))
}

/// A call to `to` that waits for a minute once it is answered.
pub fn create(to: &str, status_callback: StatusCallback) -> Box<Command> {
    let (to, from) = (to.to_owned(), "us".to_owned());
    let dialling = Dialling { to, from, status_callback, ..Dialling::default() };
    let twiml = "<Response><Pause length=\"60\"/></Response>";
    let instructions = Instructions::Twiml(twiml.to_owned());
    let create = CreateCall { account: ACCOUNT, dialling, instructions, send_digits: None };
    Box::new(Command::CreateCall(Box::new(create)))
}
