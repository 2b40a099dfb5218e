//! `sidetone backup` and `sidetone restore`: the database and the recordings, in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::running::DEFAULT_DATA;

/// What the recordings' folder is called.
const RECORDINGS: &str = "recordings";

/// Flags of `sidetone backup`.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// Where the copy is made: a folder that is not there yet, or empty.
    to: PathBuf,
    /// The data folder; a server may run on it.
    #[arg(long, default_value = DEFAULT_DATA)]
    data: PathBuf,
}

/// Flags of `sidetone restore`.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// What `sidetone backup` has made.
    from: PathBuf,
    /// The data folder that is made of it: one that is not there yet, or empty.
    #[arg(long, default_value = DEFAULT_DATA)]
    data: PathBuf,
}

/// Copies a data folder.
///
/// # Errors
/// One line that names what is in the way.
pub fn backup(arguments: &Backup) -> Result<(), String> {
    let recordings = copy(&arguments.data, &arguments.to)?;
    println!("{} and {recordings} recordings", arguments.to.join("sidetone.db").display());
    Ok(())
}

/// Makes a data folder of a copy.
///
/// # Errors
/// One line that names what is in the way.
pub fn restore(arguments: &Restore) -> Result<(), String> {
    let recordings = copy(&arguments.from, &arguments.data)?;
    let data = arguments.data.display();
    println!("{data} and {recordings} recordings; start the server with --data {data}");
    Ok(())
}

/// Copies the database and the recordings; returns how many.
fn copy(from: &Path, to: &Path) -> Result<usize, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(told(to, &"it is not empty, and nothing in it is overwritten"));
    }
    if !from.join("sidetone.db").is_file() {
        return Err(told(from, &"there is no sidetone.db in it"));
    }
    make(to).map_err(|error| told(to, &error))?;
    node::copy_database(from, to).map_err(|error| error.to_string())?;
    let (source, target) = (from.join(RECORDINGS), to.join(RECORDINGS));
    let Ok(entries) = fs::read_dir(&source) else { return Ok(0) };
    make(&target).map_err(|error| told(&target, &error))?;
    let mut count = 0;
    for entry in entries {
        let entry = entry.map_err(|error| told(&source, &error))?;
        let file = entry.path();
        if file.is_file() {
            fs::copy(&file, target.join(entry.file_name())).map_err(|error| told(&file, &error))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Makes a folder that nobody else can read.
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
