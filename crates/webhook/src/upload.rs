//! Files for a service that the operator has chosen.

use std::time::Duration;

use crate::Failure;

/// Sends files. Cloning gives another handle on the same connections.
#[derive(Debug, Clone, Default)]
pub struct Uploader(reqwest::Client);

impl Uploader {
    /// Makes one without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Posts a file, with a query behind the address, and returns the answer.
    ///
    /// # Errors
    /// 11200 where no good answer comes in time, or a longer one than `max` octets.
    pub async fn post(
        &self,
        url: &str,
        query: &[(&str, &str)],
        content_type: &str,
        file: Vec<u8>,
        limit: Duration,
        max: usize,
    ) -> Result<Vec<u8>, Failure> {
        let failed = |error: reqwest::Error| Failure::new(11200, error.to_string());
        let mut address =
            url::Url::parse(url).map_err(|error| Failure::new(11100, error.to_string()))?;
        address.query_pairs_mut().extend_pairs(query);
        let request = self.0.post(address).timeout(limit).header("content-type", content_type);
        let mut response = request.body(file).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(Failure::new(11200, format!("{url} answered {}", response.status())));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.len() + chunk.len() > max {
                return Err(Failure::new(11200, format!("{url} answers more than {max} octets")));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}
