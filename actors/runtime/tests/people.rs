//! People and their enrollments from end to end in virtual time: lists, explanations, suppression, erasing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "people/contacts.rs"]
mod contacts;
#[path = "people/lists.rs"]
mod lists;
#[path = "people/world.rs"]
mod world;
