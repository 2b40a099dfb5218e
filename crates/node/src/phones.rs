//! What the virtual phones are told, and what befell them: the table that the API and the phones share.
//!
//! In development a number that nobody serves reaches one of them. The phones themselves are `sim`'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::{Failure, Speech};

use crate::Handle;

/// Numbers that are remembered.
pub const PHONES_MAX: usize = 1_000;
/// Orders that wait for a phone's next tick.
const ORDERS_MAX: usize = 16;
/// Keys of a call that are remembered.
const HEARD_MAX: usize = 256;
/// The fixed numbers: the SIP status with which they refuse follows.
const REFUSES: &str = "+15550000";

/// What a virtual phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// Rings, and answers after this time.
    Answer(Duration),
    /// Rings until the caller gives up.
    NoAnswer,
    /// Refuses by a SIP status of 400 to 699.
    Refuse(u16),
}

/// What it says once it has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Words, in the embedded voice.
    Words(String),
    /// A sound file of the folder `phones` in the data folder, by its name.
    File(String),
}

/// What a number's virtual phone does with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether and when it answers.
    pub behavior: Behavior,
    /// What it says.
    pub says: Says,
    /// How often; 0 is until the call is over.
    pub loops: u32,
    /// The keys that it presses: `0-9 * # A-D`; `w` and `W` wait for half a second and a whole one.
    pub digits: String,
    /// How long after its answer it hangs up.
    pub hang_up_after: Option<Duration>,
    /// For how many calls this holds; none: until it is told otherwise.
    pub calls: Option<u32>,
}

impl Plan {
    /// What the phone of `number` does that was told nothing. `+15550000` and a SIP status is refused by that status;
    /// 408 never answers.
    pub fn of(number: &str) -> Self {
        let status = number.strip_prefix(REFUSES).filter(|rest| rest.len() == 3);
        let status = status.and_then(|rest| rest.parse::<u16>().ok());
        let behavior = match status {
            Some(408) => Behavior::NoAnswer,
            Some(status @ 400..=699) => Behavior::Refuse(status),
            _ => Behavior::Answer(Duration::from_secs(1)),
        };
        Self {
            behavior,
            says: Says::Words(sentence(number)),
            loops: 0,
            digits: String::new(),
            hang_up_after: None,
            calls: None,
        }
    }
}

/// Returns a sentence of the number's own.
fn sentence(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let (first, rest) = match digits.len() {
        11 if digits[0] == '1' => digits.split_at(1),
        _ => digits.split_at(0),
    };
    let spoken = |digits: &[char]| digits.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
    let groups = [first].into_iter().chain(rest.chunks(3)).filter(|group| !group.is_empty());
    let groups: Vec<String> = groups.map(spoken).collect();
    format!("This is the virtual phone of plus {}.", groups.join(", "))
}

/// Where a phone's last call has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PhoneState {
    /// Nobody calls.
    #[default]
    Idle,
    /// It rings.
    Ringing,
    /// Both sides talk.
    Up,
}

impl PhoneState {
    /// Returns Twilio's word, or `idle`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ringing => "ringing",
            Self::Up => "in-progress",
        }
    }
}

/// What befell a phone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where its last call has come to.
    pub state: PhoneState,
    /// How often it was called.
    pub calls: u64,
    /// Who called last, as the call said.
    pub from: String,
    /// The keys that were pressed to it in its last call.
    pub digits: String,
}

/// What a phone is told to do in the call that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Presses keys, as [`Plan::digits`].
    Press(String),
    /// Hangs up.
    HangUp,
}

#[derive(Debug, Default)]
struct Entry {
    plan: Option<Plan>,
    seen: Seen,
    orders: Vec<Order>,
    /// When it was last used, by the table's count.
    used: u64,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<String, Entry>,
    clock: u64,
}

impl Table {
    /// Returns a number's entry; the longest unused that was told nothing makes room for a new one.
    fn entry(&mut self, number: &str) -> Option<&mut Entry> {
        if !self.entries.contains_key(number) && self.entries.len() >= PHONES_MAX {
            let idle = |entry: &Entry| entry.plan.is_none() && entry.seen.state == PhoneState::Idle;
            let spare = self.entries.iter().filter(|(_, entry)| idle(entry));
            let oldest = spare.min_by_key(|(_, entry)| entry.used)?.0.clone();
            self.entries.remove(&oldest);
        }
        self.clock += 1;
        let entry = self.entries.entry(number.to_owned()).or_default();
        entry.used = self.clock;
        Some(entry)
    }
}

/// The virtual phones of a server: what they are told, and what befell them. Cloning gives another handle on the same.
#[derive(Debug, Clone, Default)]
pub struct Phones(Arc<Mutex<Table>>);

impl Phones {
    /// Tells a number's phone what to do from its next call on. False where [`PHONES_MAX`] numbers are told something
    /// already.
    pub fn tell(&self, number: &str, plan: Plan) -> bool {
        let mut table = self.lock();
        let entry = table.entry(number);
        entry.map(|entry| entry.plan = Some(plan)).is_some()
    }

    /// Lets a number's phone do what it did before it was told anything; false where it was not.
    pub fn forget(&self, number: &str) -> bool {
        self.lock().entries.get_mut(number).is_some_and(|entry| entry.plan.take().is_some())
    }

    /// Returns what a number's phone will do, and what befell it.
    pub fn get(&self, number: &str) -> (Plan, Seen) {
        let table = self.lock();
        let entry = table.entries.get(number);
        let plan = entry.and_then(|entry| entry.plan.clone());
        let seen = entry.map(|entry| entry.seen.clone()).unwrap_or_default();
        (plan.unwrap_or_else(|| Plan::of(number)), seen)
    }

    /// Returns the numbers that were called or told something.
    pub fn numbers(&self) -> Vec<String> {
        self.lock().entries.keys().cloned().collect()
    }

    /// Gives orders to a phone that has a call; false where it has none, or has too many to carry out.
    pub fn order(&self, number: &str, orders: Vec<Order>) -> bool {
        let mut table = self.lock();
        let entry = table.entries.get_mut(number);
        let busy = entry.filter(|entry| entry.seen.state == PhoneState::Up);
        let Some(entry) = busy.filter(|entry| entry.orders.len() + orders.len() <= ORDERS_MAX)
        else {
            return false;
        };
        entry.orders.extend(orders);
        true
    }

    /// Notes that a number is called, and returns what its phone does with the call.
    pub fn called(&self, number: &str, from: &str) -> Plan {
        let mut table = self.lock();
        let Some(entry) = table.entry(number) else { return Plan::of(number) };
        entry.seen.calls += 1;
        entry.seen.from = from.to_owned();
        entry.seen.digits.clear();
        entry.orders.clear();
        let plan = entry.plan.clone();
        if let Some(left) = entry.plan.as_mut().and_then(|plan| plan.calls.as_mut()) {
            *left = left.saturating_sub(1);
        }
        entry.plan.take_if(|plan| plan.calls == Some(0));
        plan.unwrap_or_else(|| Plan::of(number))
    }

    /// Notes where a number's call has come to.
    pub fn note(&self, number: &str, state: PhoneState) {
        if let Some(entry) = self.lock().entries.get_mut(number) {
            entry.seen.state = state;
        }
    }

    /// Notes a key that was pressed to a number's phone.
    pub fn pressed(&self, number: &str, key: char) {
        if let Some(entry) = self.lock().entries.get_mut(number)
            && entry.seen.digits.len() < HEARD_MAX
        {
            entry.seen.digits.push(key);
        }
    }

    /// Takes the orders that wait for a number's phone.
    pub fn orders(&self, number: &str) -> Vec<Order> {
        self.lock()
            .entries
            .get_mut(number)
            .map(|entry| std::mem::take(&mut entry.orders))
            .unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the virtual phones are, and what they share with the server.
#[derive(Debug, Clone)]
pub struct VirtualPhones {
    /// Where they listen for SIP.
    pub sip: SocketAddr,
    /// What they are told.
    pub phones: Phones,
}

impl Handle {
    /// Returns the virtual phones, where numbers that nobody serves reach one.
    pub fn phones(&self) -> Option<&Phones> {
        self.phones.as_ref()
    }

    /// Speaks words in the embedded voice: 8 kHz mono.
    ///
    /// # Errors
    /// When they cannot be spoken, with Twilio's code for a `<Say>` like that.
    pub async fn speak(&self, words: &str) -> Result<Arc<[i16]>, Failure> {
        self.speaker.words(&Speech::plain(words.to_owned())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_itself_in_groups() {
        assert_eq!(
            sentence("+15551234567"),
            "This is the virtual phone of plus 1, 5 5 5, 1 2 3, 4 5 6, 7."
        );
        assert_eq!(sentence("+4930123"), "This is the virtual phone of plus 4 9 3, 0 1 2, 3.");
    }

    #[test]
    fn a_fixed_number_refuses_by_the_status_in_its_name() {
        let answers = Behavior::Answer(Duration::from_secs(1));
        for (number, behavior) in [
            ("+15550000486", Behavior::Refuse(486)),
            ("+15550000603", Behavior::Refuse(603)),
            ("+15550000408", Behavior::NoAnswer),
            ("+15550000200", answers),
            ("+15550000700", answers),
            ("+155500004860", answers),
            ("+15551234567", answers),
        ] {
            assert_eq!(Plan::of(number).behavior, behavior, "{number}");
        }
    }

    #[test]
    fn a_plan_holds_for_its_calls_and_then_no_more() {
        let phones = Phones::default();
        let busy = Plan { behavior: Behavior::Refuse(486), calls: Some(2), ..Plan::of("+1555") };
        assert!(phones.tell("+1555", busy));
        for behavior in [Behavior::Refuse(486), Behavior::Refuse(486), Plan::of("+1555").behavior] {
            assert_eq!(phones.called("+1555", "us").behavior, behavior);
        }
        let (plan, seen) = phones.get("+1555");
        assert_eq!((plan, seen.calls), (Plan::of("+1555"), 3));
        assert!(!phones.forget("+1555"));
    }

    #[test]
    fn orders_are_for_a_call_that_is_up() {
        let phones = Phones::default();
        phones.called("+1555", "us");
        assert!(!phones.order("+1555", vec![Order::HangUp]));
        phones.note("+1555", PhoneState::Up);
        assert!(phones.order("+1555", vec![Order::HangUp]));
        assert_eq!(phones.orders("+1555"), [Order::HangUp]);
        assert_eq!(phones.orders("+1555"), []);
    }

    #[test]
    fn no_more_numbers_are_remembered_than_a_table_holds() {
        let phones = Phones::default();
        for number in 0..PHONES_MAX + 5 {
            phones.called(&format!("+{number}"), "us");
        }
        assert_eq!(phones.numbers().len(), PHONES_MAX);
        assert!(!phones.numbers().contains(&"+0".to_owned()));
        for number in 0..PHONES_MAX {
            phones.tell(&format!("+1{number:04}"), Plan::of("+1"));
        }
        assert!(!phones.tell("+2", Plan::of("+2")));
        assert!(phones.tell("+10000", Plan::of("+1")));
    }
}
