//! What is done to a participant's sound before anybody hears it. Twilio has nothing like it.

use model::MomentEdge;

/// What is done to what somebody says, for all who hear it and in all that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Cleaning {
    /// A voice is brought towards a common level.
    pub levelling: bool,
    /// Steady noise is taken out.
    pub noise_suppression: bool,
}

/// What of [`Cleaning`] is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleaningChanges {
    /// `Levelling`.
    pub levelling: Option<bool>,
    /// `NoiseSuppression`.
    pub noise_suppression: Option<bool>,
}

impl Cleaning {
    pub(crate) fn with(self, changes: CleaningChanges) -> Self {
        Self {
            levelling: changes.levelling.unwrap_or(self.levelling),
            noise_suppression: changes.noise_suppression.unwrap_or(self.noise_suppression),
        }
    }

    /// Returns what has become of another, each change as the history tells it.
    pub(crate) fn since(self, before: Self) -> impl Iterator<Item = MomentEdge> {
        let levelling =
            (self.levelling != before.levelling).then_some(MomentEdge::Levelling(self.levelling));
        let suppression = (self.noise_suppression != before.noise_suppression)
            .then_some(MomentEdge::NoiseSuppression(self.noise_suppression));
        levelling.into_iter().chain(suppression)
    }
}
