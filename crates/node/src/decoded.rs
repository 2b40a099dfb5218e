//! Sound that is decoded once for all who hear it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

/// Most samples that are kept, of all files together: 64 MiB.
const SAMPLES_MAX: usize = 32 * 1024 * 1024;
/// Most files that are kept.
const FILES_MAX: usize = 256;
/// Most files that are decoded at the same time.
const DECODINGS_MAX: usize = 2;

type Samples = Arc<[i16]>;
type Cell = Arc<OnceCell<Samples>>;

/// The files that were heard last, by what is in them.
#[derive(Debug, Clone)]
pub struct Decoded {
    files: Arc<Mutex<Files>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Files {
    /// With the number of the last use.
    files: BTreeMap<[u8; 32], (u64, Cell)>,
    uses: u64,
}

impl Default for Decoded {
    fn default() -> Self {
        Self { files: Arc::default(), turns: Arc::new(Semaphore::new(DECODINGS_MAX)) }
    }
}

impl Decoded {
    /// Returns a file's sound; `decode` is asked only if it is not there, and by one at a time.
    ///
    /// # Errors
    /// What `decode` says.
    pub async fn get<E>(
        &self,
        key: [u8; 32],
        decode: impl AsyncFnOnce() -> Result<Samples, E>,
    ) -> Result<Samples, E> {
        let cell = self.lock().of(key);
        let samples = cell.get_or_try_init(async || {
            // The semaphore is never closed; without a turn it would only be slower.
            let _turn = self.turns.acquire().await;
            decode().await
        });
        let samples = samples.await.cloned();
        drop(cell);
        self.lock().shrink();
        samples
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn of(&mut self, key: [u8; 32]) -> Cell {
        self.uses += 1;
        let (used, cell) = self.files.entry(key).or_default();
        *used = self.uses;
        Arc::clone(cell)
    }

    /// Forgets what failed, and what was not used for the longest until the rest is within bounds.
    fn shrink(&mut self) {
        self.files.retain(|_, (_, cell)| cell.initialized() || Arc::strong_count(cell) > 1);
        let length = |cell: &Cell| cell.get().map_or(0, |samples| samples.len());
        let mut total: usize = self.files.values().map(|(_, cell)| length(cell)).sum();
        while total > SAMPLES_MAX || self.files.len() > FILES_MAX {
            let oldest = self.files.iter().min_by_key(|(_, (used, _))| *used);
            let Some((&key, (_, cell))) = oldest else { break };
            total -= length(cell);
            self.files.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_file_is_decoded_once_for_all_who_ask_at_the_same_time() {
        let decoded = Decoded::default();
        let decodings = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (decoded, decodings) = (decoded.clone(), Arc::clone(&decodings));
            tokio::spawn(async move {
                let decode = async || {
                    decodings.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok::<Samples, ()>(vec![1, 2, 3].into())
                };
                decoded.get([7; 32], decode).await
            })
        };
        let asked: Vec<_> = (0..20).map(|_| ask()).collect();
        for asked in asked {
            assert_eq!(&*asked.await.unwrap().unwrap(), [1, 2, 3]);
        }
        assert_eq!(decodings.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_long_files_push_out_old_ones() {
        let decoded = Decoded::default();
        assert_eq!(decoded.get([0; 32], async || Err("broken")).await, Err("broken"));
        assert!(decoded.lock().files.is_empty());
        for number in 1..=5 {
            let long: Samples = vec![0; 9 << 20].into();
            decoded.get([number; 32], async || Ok::<_, ()>(long)).await.unwrap();
        }
        assert!(decoded.lock().files.len() < 5);
        let kept = decoded.get([5; 32], async || Err("not kept")).await;
        assert_eq!(kept.unwrap().len(), 9 << 20);
        for number in 0..1_000_u32 {
            let mut key = [9; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            decoded.get(key, async || Ok::<_, ()>(Samples::default())).await.unwrap();
        }
        assert!(decoded.lock().files.len() <= FILES_MAX);
    }
}
