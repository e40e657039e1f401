//! The tables of a store: the first byte of every key.

/// The first byte of a key: what kind of row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Who changed what, newest first.
    Audit = b'b',
    /// Access keys, by their name.
    Access = b'k',
    /// Names of tenants, to their numbers.
    Name = b'a',
    /// Tenants that were deleted and whose rows are not all removed yet. They come before all rows of tenants, so that
    /// whoever reads in order knows of them first.
    Deleted = b'D',
    /// Contacts.
    Contact = b'c',
    /// Ids of events that were accepted.
    Event = b'd',
    /// Enrollments with their latest history.
    Enrollment = b'e',
    /// Events that several enrollments still have to consume.
    FanOut = b'f',
    /// How many wakes stand in a queue for an hour. They come behind all enrollments, so that whoever reads in order
    /// knows what they have to say.
    Backlog = b'g',
    /// Older history of enrollments.
    History = b'h',
    /// What came of calls that are made once, however often they are sent.
    Once = b'i',
    /// What stops all sending.
    Stop = b'j',
    /// How many calls of a lane are under way whose start its limits know.
    Calling = b'u',
    /// Limits of lanes.
    Ledger = b'l',
    /// How channels fare: signals by the hour.
    Signal = b'm',
    /// Funnel counters.
    Count = b'n',
    /// What the clock said last.
    Clock = b'o',
    /// Addresses that are suppressed.
    Suppression = b'p',
    /// Contacts by their addresses: whom somebody is who writes to us.
    Address = b'q',
    /// New recipients of channels and accounts.
    Recipients = b'r',
    /// Tenants, accounts, channels, sequences: the scopes an intent expects.
    Scope = b's',
    /// Targets: their facts and who is enrolled about them.
    Target = b't',
    /// Published versions of sequences.
    Version = b'v',
    /// Wakes.
    Wake = b'w',
    /// The store's own row.
    Store = b'x',
}

impl Table {
    /// All of them, in the order of their bytes.
    pub const ALL: [Table; 25] = [
        Table::Deleted,
        Table::Name,
        Table::Audit,
        Table::Contact,
        Table::Event,
        Table::Enrollment,
        Table::FanOut,
        Table::Backlog,
        Table::History,
        Table::Once,
        Table::Stop,
        Table::Access,
        Table::Ledger,
        Table::Signal,
        Table::Count,
        Table::Clock,
        Table::Suppression,
        Table::Address,
        Table::Recipients,
        Table::Scope,
        Table::Target,
        Table::Calling,
        Table::Version,
        Table::Wake,
        Table::Store,
    ];

    /// Those whose keys begin with their tenant's number behind the shard.
    pub const OF_TENANTS: [Table; 17] = [
        // First, since what is read to act on expects them.
        Table::Scope,
        Table::Wake,
        Table::Backlog,
        Table::Audit,
        Table::Contact,
        Table::Event,
        Table::FanOut,
        Table::Signal,
        Table::Once,
        Table::Ledger,
        Table::Count,
        Table::Suppression,
        Table::Address,
        Table::Recipients,
        Table::Target,
        Table::Calling,
        Table::Version,
    ];
}
