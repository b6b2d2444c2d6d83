//! The local Pub/Sub: topics, durable publishing, push with Google's retries, backoffs and dead letters, pull and
//! streaming pull. A process of its own, reached as Google's is: by its official clients with another endpoint.

mod client;
mod config;
mod context;
mod filter;
mod grpc;
mod handle;
mod janitor;
mod json;
mod limits;
mod name;
mod policy;
mod proto;
mod publishes;
mod pull;
mod push;
mod queue;
mod refusal;
mod registry;
mod rest;
mod server;
mod store;
mod stream;
mod subscriber;
mod subscription;
mod tally;
mod token;

pub use server::{BrokerError, BrokerOptions, serve};
