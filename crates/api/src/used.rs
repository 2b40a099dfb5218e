//! What of the API a program uses, written into a file: each operation and each parameter that went with a
//! request that was taken, once, and whether anything read it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;

use crate::form::{Form, Read};

/// Most lines of one file: names are the client's own, and there is no end of them.
const LINES_MAX: usize = 10_000;

/// The file, and what stands in it already.
///
/// A line is `POST Calls` for an operation, `POST Calls To` for a parameter, and `POST Calls Colour ignored` for
/// one that nothing asked for.
#[derive(Debug)]
pub struct Used(Mutex<(File, BTreeSet<String>)>);

/// One request, while it is answered.
pub(crate) struct Noted {
    operation: String,
    sent: BTreeSet<String>,
    read: Arc<Read>,
}

impl Used {
    /// Opens a file; what it has stays, and several processes may write to it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new((file, BTreeSet::new()))))
    }

    /// Looks at what is asked for before a handler reads it.
    pub(crate) fn begin(method: &Method, template: &str, form: &mut Form) -> Noted {
        // `Date>=` is the filter `Date>`.
        let sent = form.names().map(|name| name.trim_end_matches('=').to_owned()).collect();
        Noted { operation: format!("{method} {template}"), sent, read: form.watch() }
    }

    /// Writes down a request that was taken.
    pub(crate) fn note(&self, noted: &Noted) {
        let Noted { operation, sent, read } = noted;
        let parameters = sent.iter().map(|name| {
            let remark = if read.has(name) { "" } else { " ignored" };
            format!("{operation} {name}{remark}")
        });
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, known) = &mut *inner;
        for line in std::iter::once(operation.clone()).chain(parameters) {
            if known.len() < LINES_MAX && known.insert(line.clone()) {
                // It is a help to developers, and nothing that a request could fail by.
                let _ = file.write_all(format!("{}\n", line.replace(['\n', '\r'], " ")).as_bytes());
            }
        }
    }
}
