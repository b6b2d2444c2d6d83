//! tidegate finds the max-concurrency setting of a Cloud Run service that keeps its promises at the least cost.
//!
//! The modules stand in groups, lowest layer first. A module may name modules of lower groups only, never one of
//! its own group or above; `tests/architecture.rs` holds the source to that.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod stats;
pub mod units;

pub mod autoscaler;
pub mod cost;
pub mod identity;
pub mod scenario;

pub mod trial;

pub mod port;

pub mod broker;
pub mod cloud;
pub mod driver;
pub mod platform;
pub mod tuner;

pub mod report;
pub mod study;

pub mod commands;

pub mod cli;
