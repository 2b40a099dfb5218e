//! Signed HTTP to customers, behind an address guard.
