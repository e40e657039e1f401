//! The supervised actors: enrollments, tenants, lanes, and the calls they make.
//!
//! This is the only crate that names ractor. It reads facts from the store, lets the core decide, writes what was
//! decided in one commit and then acts on it. A message is a hint, the store is the truth: losing any mailbox loses
//! nothing. [`Engine`] is the handle the daemon and the tests hold.

mod access;
mod addresses;
mod admission;
mod api;
mod audit;
mod awaited;
mod backlog;
mod call;
mod clock;
mod command;
mod contact;
mod delete;
mod engine;
mod enroll;
mod enrollment;
mod env;
mod erase;
mod event;
mod explain;
mod golden;
pub mod inspect;
mod limits;
mod list;
mod loaded;
mod node;
mod old;
mod once;
mod opt_out;
mod pacer;
pub mod plant;
mod read;
mod receipt;
mod record;
mod root;
mod scopes;
mod settings;
mod shard;
pub mod stats;
mod stop;
mod suppression;
mod sweep;
mod tenant;
mod used;
pub mod verify;
mod waves;

pub use access::KeyWish;
pub use api::{
    AccountSettings, Caller, Changed, ChannelSettings, ChatwootSettings, Command, EnrollAnswer,
    EnrollmentPage, Erased, Error, EventAnswer, EventCall, Explanation, Export, Funnel, HttpSettings, IdPage,
    KillSwitchSettings, Known, MetaSettings, Names, Person, ReceiptAnswer, ReceiptCall, RestSettings,
    ScopeName, SecretGiven, SmtpSettings, Stopped, TenantSettings, Timeline, TwilioSettings, Whom,
};
pub use audit::{Act, AuditPage, Audited};
pub use engine::backlog::{Backlog, BacklogGroup, Waits, WaitsFor};
pub use engine::backup::{Backup, held_rows};
pub use engine::forecast::LaneForecast;
pub use engine::{Config, Engine, TakenIn};
pub use env::{EngineClock, Env, WallEnv};
pub use once::Once;
pub use scopes::{
    AccountPut, AccountShown, At, Change, ChannelPut, ChannelShown, Compared, Expected, Fares, Held,
    HeldScope, Published, SequencePut, SequenceShown, Settings, TenantPut, TenantShown, Trial, TrialOf,
    Wanted,
};
pub use stop::Stop;
