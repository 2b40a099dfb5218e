//! What a tick costs in each part that sound passes through.

use crate::shell::Shell;

/// Measures every codec, resampler, limiter and judge alone.
///
/// # Errors
/// One line, when they cannot be built.
pub fn measure(shell: &Shell) -> Result<(String, String), String> {
    let line = ["cargo", "run", "--release", "--locked", "--quiet", "--package", "media"];
    let table = shell.output(&[&line[..], &["--example", "cost"]].concat())?;
    let rows = table.lines().filter(|line| line.starts_with("| ")).count().saturating_sub(1);
    Ok((format!("\n{table}\n"), format!("{rows} parts of the sound measured")))
}
