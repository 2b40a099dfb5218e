//! Tests only: the house seen from the street, and the rules of the house itself.
//!
//! It hides nothing and has no face; everything is in `tests/`. `tests/tidy.rs` reads the manifests and
//! the sources as text: which crate may know which, and how long a file may grow. What a crate does is
//! tested in that crate.
