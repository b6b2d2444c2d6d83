//! What tidegate sends to Google's APIs and makes of their answers, held to the letter against a server that plays Google
//! with the JSON of its documentation. Real sockets; time moves only when the client sleeps.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "cloud_wire/admin.rs"]
mod admin;
mod google;
#[path = "cloud_wire/refusals.rs"]
mod refusals;
#[path = "cloud_wire/usage.rs"]
mod usage;
