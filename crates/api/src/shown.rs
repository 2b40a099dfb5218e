//! What records show, on its way to JSON without a copy in between.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Serialised as the text that it prints.
pub struct Shown<T>(pub T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The address of something below a record, or of the record itself where `below` is empty.
pub struct Link<'a> {
    pub base: &'a str,
    pub below: &'static str,
}

impl Serialize for Link<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let slash = if self.below.is_empty() { "" } else { "/" };
        serializer.serialize_str(&[self.base, slash, self.below, ".json"].concat())
    }
}

/// Returns a view as a value.
pub fn value(view: &impl Serialize) -> Value {
    serde_json::to_value(view).expect("texts and numbers can be serialised")
}

/// Appends a view as text.
pub fn append(text: &mut Vec<u8>, view: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, view).expect("texts and numbers can be serialised");
}
