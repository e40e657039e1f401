//! The pure core of followupd: plain synchronous functions over plain values.
//!
//! [`decide`] says what an enrollment's state, an input and the facts around it lead to; [`decision::fold`] applies
//! that to the state; [`gate`] says whether a send may begin; [`ledger`] keeps its limits; [`lane`] says which wake
//! is next; [`calendar`] knows days and hours. Time is an argument everywhere, nothing here draws chance or does
//! I/O, and the same input gives the same output: the daemon, the simulator and the tests all run this code.

pub mod access;
pub mod account;
pub mod backlog;
pub mod calendar;
pub mod channel;
pub mod contact;
pub mod content;
pub mod decide;
pub mod decision;
pub mod enrollment;
pub mod event;
pub mod filter;
pub mod funnel;
pub mod gate;
pub mod health;
pub mod holds;
pub mod ids;
pub mod invariant;
pub mod lane;
pub mod ledger;
pub mod limits;
pub mod name;
pub mod preview;
pub mod reaction;
pub mod render;
pub mod scope;
pub mod sequence;
pub mod signal;
pub mod suppression;
pub mod target;
pub mod tenant;
pub mod throttle;
pub mod time;

pub use ids::{
    AccountNo, ChannelNo, EnrollmentId, IdKey, SendId, SequenceNo, Shard, StepNo, TenantNo, VersionNo, route,
};
pub use time::{Moment, Span};
