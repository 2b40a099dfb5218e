//! The shard seen from the street: phones of every kind around it in virtual time, judged by what they hear.
//!
//! Only the public face is used, and what is expected is written down here: nothing is asked of the shard but its
//! counters.

#![allow(clippy::unwrap_used)]

mod chance;
mod churn;
mod ears;
mod exact;
mod mixed;
mod odd;
mod pauses;
mod phone;
mod playout;
mod regression;
mod rooms;
mod waiting;
