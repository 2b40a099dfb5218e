//! The reference: who hears whom, and what a request for a change comes to. It was written from
//! Twilio's documents and shares nothing with the server.

/// One participant, as far as ears can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Member {
    pub muted: bool,
    pub held: bool,
    pub coaches: Option<usize>,
}

/// The fields of one request; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Update {
    pub muted: Option<bool>,
    pub hold: Option<bool>,
    pub coaching: Option<bool>,
    pub to_coach: Option<usize>,
}

/// A conference whose members all are connected.
#[derive(Debug, Clone)]
pub struct Model {
    pub started: bool,
    pub members: Vec<Member>,
}

impl Model {
    pub fn new(size: usize, started: bool) -> Self {
        Self { started, members: vec![Member::default(); size] }
    }

    /// Applies a request, or says by which code it is refused; then nothing changes.
    pub fn update(&mut self, target: usize, update: Update) -> Result<(), u32> {
        let now = self.members[target];
        let coaches = match (update.coaching, update.to_coach) {
            (None, None) => now.coaches,
            (Some(false), _) => None,
            (Some(true), None) if now.coaches.is_some() => now.coaches,
            (Some(true), None) => return Err(20_001),
            (_, Some(coached)) if coached == target => return Err(20_001),
            (_, Some(coached)) if self.members[coached].held => return Err(16_027),
            (_, coached) => coached,
        };
        let muted = update.muted.unwrap_or(now.muted);
        self.members[target] = Member { muted, held: update.hold.unwrap_or(now.held), coaches };
        Ok(())
    }

    /// Whether one hears another.
    pub fn hears(&self, listener: usize, speaker: usize) -> bool {
        let (ear, mouth) = (self.members[listener], self.members[speaker]);
        self.started
            && listener != speaker
            && !mouth.muted
            && !mouth.held
            && !ear.held
            && mouth.coaches.is_none_or(|coached| coached == listener)
    }
}

#[test]
fn the_reference_says_what_the_documents_say() {
    let mut room = Model::new(3, true);
    let coach = Update { to_coach: Some(1), ..Update::default() };
    assert_eq!(room.update(0, coach), Ok(()));
    assert!(room.hears(1, 0) && !room.hears(2, 0) && room.hears(0, 2));
    let hold = Update { hold: Some(true), ..Update::default() };
    assert_eq!(room.update(1, hold), Ok(()));
    assert!(!room.hears(1, 0) && !room.hears(0, 1));
    assert_eq!(room.update(2, coach), Err(16_027));
    assert_eq!(room.update(2, Update { coaching: Some(true), ..Update::default() }), Err(20_001));
    assert!(room.hears(0, 2), "a refusal changes nothing");
}
