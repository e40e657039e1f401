//! People and their enrollments from end to end in virtual time: lists, explanations, suppression, erasing.

mod contacts;
mod lists;
mod world;
