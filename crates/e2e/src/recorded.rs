//! What was recorded, as it is handed out.

use crate::Server;

/// Fetches a path below the account with more headers; returns the status and the octets.
pub async fn fetch(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
    let path = format!("/2010-04-01/Accounts/{}{path}", server.ready("account_sid"));
    let mut request = server.request("GET", &path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

/// Returns the channels of a WAV file.
///
/// # Panics
/// When its header does not tell the truth.
pub fn channels(file: &[u8]) -> Vec<Vec<i16>> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&file[..4], &file[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!((word(4), word(40), word(24)), (file.len() - 8, file.len() - 44, 8_000));
    let count = usize::from(file[22]);
    let samples: Vec<i16> =
        file[44..].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    (0..count).map(|one| samples[one..].iter().step_by(count).copied().collect()).collect()
}
