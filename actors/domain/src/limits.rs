//! Every bound of the engine in one place, each with its reason; how they relate is asserted where they stand.

use crate::time::Span;

/// Shards a store is cut into. Fixed for good: the shard stands in every id.
pub const SHARDS: u16 = 1_024;

/// Bytes of a contact's or target's id, which is the platform's.
pub const ID_BYTES: usize = 128;

/// Bytes of the name of a tenant, channel or sequence: a DNS label, so that it fits anywhere.
pub const NAME_BYTES: usize = 63;

/// Bytes of what a mistaken name of a time zone may have to be compared with all there are: twice the longest. The
/// comparison takes as long as the name is.
pub const ZONE_NAME_BYTES: usize = 64;

/// Bytes of all attributes of one contact or target together.
pub const ATTRIBUTE_BYTES: usize = 16 * 1_024;

/// Steps of one sequence.
pub const STEPS: usize = 100;

/// The highest weight of a sequence: a hundredth of another's share is less than anybody means.
pub const WEIGHT_MOST: u8 = 100;

/// Bytes of one step's subject and body before rendering.
pub const CONTENT_BYTES: usize = 64 * 1_024;

/// Bytes of all texts of one sequence together: a version is one record of a store.
pub const SEQUENCE_BYTES: usize = 512 * 1_024;

/// Bytes of a rendered message; above the content, because variables grow it.
pub const RENDERED_BYTES: usize = 256 * 1_024;

/// Instructions one rendering may take (`minijinja` fuel): far above any honest message, far below a loop.
pub const RENDER_FUEL: u64 = 50_000;

/// Enrollments of one contact that its row indexes at once; a person in more cadences than this is an error of
/// the platform, and the row is read at each send.
pub const ENROLLMENTS_A_CONTACT: usize = 64;

/// What one contact's row remembers of enrollments it has no room for any more, so that re-entry rules and opt-outs
/// outlive them: some 25 bytes each, and more sequences and targets than a person meets in years.
pub const RESTS_A_CONTACT: usize = 512;

/// Enrollments about one target that its row indexes at once: a conversation of a thousand people is an error of the
/// platform, the row is written at each enroll and end, and an event about the target moves all of them.
pub const ENROLLMENTS_A_TARGET: usize = 1_024;

/// Sends that one contact's row remembers for the limits that ask for them, some 8 bytes each. When there are more, the
/// oldest go: a contact that gets as many within a week has no cap.
pub const SENDS_A_CONTACT: usize = 256;

/// The highest frequency cap of a contact, so that its row remembers all that a cap asks for.
pub const CONTACT_CAP: u32 = 100;

/// How long sends to a contact are remembered: as long as the longest frequency cap looks back.
pub const SENDS_REMEMBERED: Span = Span::days(7);

/// Items of one batch call.
pub const BATCH_ITEMS: usize = 1_000;

/// Longest wait of a step.
pub const LONGEST_WAIT: Span = Span::days(366);

/// How long an enrollment lives at most, unless its sequence says otherwise.
pub const MAX_LIFETIME: Span = Span::days(90);

/// How far ahead of our clock an event may lie.
pub const EVENT_AHEAD: Span = Span::minutes(5);

/// How long event ids are remembered; an older event is refused, because it could be a repeat.
pub const EVENT_MEMORY: Span = Span::days(3);

/// The same of what providers tell by webhook: Meta repeats for up to seven days what was not answered.
pub const EVENT_MEMORY_OF_PROVIDERS: Span = Span::days(8);

/// How long terminal facts of a target are kept without an enrollment.
pub const TERMINAL_FACTS: Span = Span::days(30);

/// Attempts of one send before its step fails.
pub const ATTEMPTS: u8 = 5;

/// Pauses of a message whose own few tries are used up, until its attempts are: its step may be mended or held meanwhile.
pub const ASKED_AGAIN: Span = Span::hours(1);

/// First pause before a refused send is tried again; doubles with each attempt.
pub const RETRY_AFTER: Span = Span::seconds(15);

/// The longest pause a provider may ask for: one that wants more has its reason, but a day later is worth a try.
pub const RETRY_AFTER_MOST: Span = Span::days(1);

/// Pauses of a send that a server greylists: it wants the same sender and recipient again after minutes, some after
/// hours, and a mail is given up after four to five days (RFC 5321, 4.5.4.1).
pub const RETRY_SLOWLY: [Span; 8] = [
    Span::minutes(5),
    Span::minutes(15),
    Span::hours(1),
    Span::hours(4),
    Span::hours(8),
    Span::days(1),
    Span::days(1),
    Span::days(2),
];

/// Days a full mailbox is tried again.
pub const RETRY_DAYS: usize = 3;

/// The longest a wake is put off by a limit of its contact before it is looked at again: who mends a limit that was
/// mistyped sees it work on the same day, and whom a week's cap keeps waiting is looked at 28 times.
pub const PUT_OFF_MOST: Span = Span::hours(6);

/// Over so long those come back who wait for room among the new recipients of a channel, from when there is some: those
/// first that have waited longest, so that the first enrolled are written to first.
pub const NEW_RECIPIENTS_SPREAD: Span = Span::hours(1);

/// A call that has not begun this long after its intent was decided is withdrawn: what the last look saw is
/// then too old to act on.
pub const INTENT_LIFE: Span = Span::seconds(2);

/// Refusals of one step among its latest outcomes that hold it: one may be a contact's own value, so many are the
/// text's.
pub const REFUSED_ALIKE: usize = 5;

/// The latest outcomes of a step that are looked at: twice as many, since a provider may take each message first and
/// refuse it after all.
pub const STEP_SEES: usize = 2 * REFUSED_ALIKE;

/// Steps of one lane whose refusals are counted at once.
pub const STEPS_WATCHED: usize = 256;

/// The latest outcomes of a lane that its breaker looks at.
pub const BREAKER_SEES: usize = 20;

/// How many of these that blame the sender open it: half, so that a provider which fails now and then does not.
pub const BREAKER_OPENS: usize = 10;

/// How long it opens first; twice as long each time until a message is taken.
pub const BREAKER_LEAST: Span = Span::minutes(1);

/// How often that doubles: 32 minutes at most, within which a provider that is back is found.
pub const BREAKER_DOUBLES: u32 = 5;

/// Failures so soon after the breaker has opened were under way then; the hold that follows is written by now.
pub const BREAKER_SETTLES: Span = Span::seconds(10);

/// How long nothing is sent to an address of which its provider says that nothing arrives there: time to install an app
/// or to accept its terms (Meta, 131026), and few tries, since those that fail count against the sender.
pub const UNUSABLE_FOR: Span = Span::days(7);

/// How long an account rests whose provider asks for a pause and does not say for how long: not so short that many
/// refusals come of it, since each rest is a write to its row, which costs every look that is under way.
pub const ACCOUNT_RESTS: Span = Span::minutes(1);

/// Sends whose signals a kill switch looks at: those of a week.
pub const SIGNALS_OF: Span = Span::days(7);

/// How long most messages take that arrive at all: those sent later are left out of the share that was delivered.
pub const DELIVERED_WITHIN: Span = Span::hours(1);

/// How long most people take who answer at all.
pub const REPLIED_WITHIN: Span = Span::hours(24);

/// Kill switches of a channel.
pub const KILL_SWITCHES: usize = 8;

/// Failures in a row that a kill switch can ask for, at most.
pub const IN_A_ROW: usize = 100;

/// How many messages of a lane are looked at for failures in a row: as many as may leave before receipts of the first
/// come.
pub const IN_A_ROW_SEES: usize = 1_024;

/// Buttons that answer a text: WhatsApp takes three.
pub const REPLY_BUTTONS: std::ops::RangeInclusive<usize> = 1..=3;

/// Characters of a button's id (Meta, "Interactive reply buttons messages").
pub const BUTTON_ID: usize = 256;

/// Characters of what stands on a button, by the same page.
pub const BUTTON_TITLE: usize = 20;

/// Characters of a template parameter's name; Meta's reference gives no bound, and no name is as long.
pub const PARAMETER_NAME: usize = 128;

/// Buttons of an approved template.
pub const TEMPLATE_BUTTONS: usize = 10;

/// How long a message of a contact's opens the service window of WhatsApp, in which anything may be sent (Meta,
/// "Customer service windows").
pub const SERVICE_WINDOW: Span = Span::hours(24);

/// The least share of its pace a lane is cut to, in thousandths: it must still find out that it may go faster.
pub const SHARE_LEAST: i64 = 50;

/// The share with which a lane goes on whose hold has ended, in thousandths.
pub const SHARE_AFTER_HOLD: i64 = 100;

/// A lane that was slowed gets back so much of its pace, in thousandths …
pub const RECOVER_BY: i64 = 50;

/// … each time this has passed: after a cut to a half it takes 100 s.
pub const RECOVER_EVERY: Span = Span::seconds(10);

/// A person's hold that was shorter than this has kept hardly anything: what it kept needs no easing in.
pub const EASED_IN_AFTER: Span = Span::seconds(5);

/// A lane that was eased in has all of its pace again after this.
pub const EASED_IN_WITHIN: Span =
    Span(((1_000 - SHARE_AFTER_HOLD + RECOVER_BY - 1) / RECOVER_BY) * RECOVER_EVERY.0);

/// Complaints within this are one: the calls they answer were under way together.
pub const SLOWED_TOGETHER: Span = Span::seconds(1);

/// Events a forecast of a backlog looks at: with a year of days and a queue that opens and closes on each there are
/// some hundreds; each costs as much as there are queues.
pub const FORECAST_EVENTS: usize = 5_000;

/// How far ahead a forecast of a backlog looks: what takes longer has no end worth telling.
pub const FORECAST_MOST: Span = Span::days(366);

/// Activations of one enrollment that may fail in a row before it is quarantined.
pub const ACTIVATION_FAILURES: u8 = 5;

/// History entries kept in an enrollment's own row; the oldest half moves to a history row when there are more.
pub const HISTORY_INLINE: usize = 32;

/// Enrollments one event moves before it is answered; the others follow, fenced by the contact's version.
pub const FAN_OUT_ANSWERED: usize = 64;

/// Ended holds a scope remembers, to push back the waits that ran through them.
pub const PAST_HOLDS: usize = 64;

const _: () = assert!(NAME_BYTES < ID_BYTES);
const _: () = assert!(CONTENT_BYTES <= RENDERED_BYTES);
const _: () = assert!(2 * CONTENT_BYTES <= SEQUENCE_BYTES);
const _: () = assert!(MAX_LIFETIME.0 <= LONGEST_WAIT.0);
const _: () = assert!(EVENT_AHEAD.0 < EVENT_MEMORY.0);
const _: () = assert!(EVENT_MEMORY.0 < EVENT_MEMORY_OF_PROVIDERS.0);
const _: () = assert!(EVENT_MEMORY_OF_PROVIDERS.0 < TERMINAL_FACTS.0);
const _: () = assert!(INTENT_LIFE.0 < RETRY_AFTER.0);

const _: () = assert!(RETRY_AFTER.0 << (ATTEMPTS - 1) < RETRY_AFTER_MOST.0);
const _: () = assert!(BREAKER_OPENS <= BREAKER_SEES);
const _: () = assert!(IN_A_ROW <= IN_A_ROW_SEES);
const _: () = assert!(DELIVERED_WITHIN.0 < REPLIED_WITHIN.0 && REPLIED_WITHIN.0 < SIGNALS_OF.0);
const _: () = assert!(SHARE_LEAST <= SHARE_AFTER_HOLD);
const _: () = assert!(SLOWED_TOGETHER.0 <= RECOVER_EVERY.0);
const _: () = assert!(HISTORY_INLINE >= 4);
const _: () = assert!(FAN_OUT_ANSWERED <= ENROLLMENTS_A_CONTACT);
const _: () = assert!(ENROLLMENTS_A_CONTACT <= ENROLLMENTS_A_TARGET);
const _: () = assert!(ENROLLMENTS_A_CONTACT <= RESTS_A_CONTACT);
const _: () = assert!(2 * CONTACT_CAP as usize <= SENDS_A_CONTACT);
