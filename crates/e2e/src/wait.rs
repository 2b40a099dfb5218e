//! Waiting for what must come about, for as long as a busy machine may need.

use std::time::{Duration, Instant};

use sim::Phone;

use crate::ears::level;

/// Longer than anything takes that comes about at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
/// When it does not, naming it.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Waits until a phone hears a tone, or no longer does.
///
/// # Panics
/// When that does not come about.
pub async fn hears(phone: &Phone, hertz: u32, wanted: bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        phone.forget();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if (level(&phone.heard(), hertz) > 500.0) == wanted {
            return;
        }
        assert!(Instant::now() < end, "a tone of {hertz} Hz: not {wanted}");
    }
}
