//! What a seed's tenants are like: zones, hours, channels with limits, sequences. Values, no engine.

use followupd_domain::ledger::WarmUp;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::target::TargetKind;
use followupd_runtime::{AccountSettings, ChannelSettings, KillSwitchSettings, RestSettings, TenantSettings};

use super::dice::Dice;
use super::says::Says;

/// Contacts of each tenant; the same ids in every tenant, so that one tenant's data in another's rows would show.
pub(crate) const CONTACTS: usize = 9;

/// The sequences of every tenant, in the order they are put: their numbers are 1, 2, 3.
pub(crate) const SEQUENCES: [&str; 3] = ["welcome", "charge", "mixed"];

/// The channels of every tenant, in the order they are put.
pub(crate) const CHANNELS: [&str; 2] = ["mail", "chat"];

/// The account that both belong to.
pub(crate) const ACCOUNT: &str = "house";

/// A quiet window, as numbers: days (Monday 0), minutes from and to.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    /// As the settings spell the days.
    pub(crate) spelt: &'static str,
    /// Days it begins on.
    pub(crate) days: Vec<u8>,
    /// First minute.
    pub(crate) from: u16,
    /// First minute after it; at or before `from`: on the next day.
    pub(crate) to: u16,
}

/// The limits of a channel, as numbers in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// Sends, span, burst.
    pub(crate) rate: Option<(u32, i64, u32)>,
    /// Least span between two starts.
    pub(crate) gap: Option<i64>,
    /// How much longer it is at most.
    pub(crate) jitter: Option<i64>,
    /// In a moving minute.
    pub(crate) per_minute: Option<u32>,
    /// In a moving hour.
    pub(crate) per_hour: Option<u32>,
    /// On a calendar day.
    pub(crate) per_day: Option<u32>,
    /// A pause so long after so many starts.
    pub(crate) rest: Option<(u32, i64)>,
    /// Days until `per_day` is reached, and its value on the first.
    pub(crate) warm_up: Option<(u32, u32)>,
    /// Least span between two starts to one contact.
    pub(crate) recipient_gap: Option<i64>,
    /// People it writes to in any moving 24 h.
    pub(crate) new_recipients: Option<u32>,
    /// The share of failures, in percent, that holds it after eight sends.
    pub(crate) kill_switch: Option<u32>,
    /// Whether its provider recognises no send, so that one in doubt is not called again.
    pub(crate) forgets: bool,
}

/// A tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantPlan {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its zone.
    pub(crate) zone: &'static str,
    /// Whether a contact's own zone counts.
    pub(crate) contact_zone: bool,
    /// When it is quiet.
    pub(crate) quiet: Vec<Quiet>,
    /// Its channels' limits, by their place in [`CHANNELS`].
    pub(crate) pace: [Pace; 2],
    /// Sends to one contact in any moving 24 h.
    pub(crate) contact_per_day: Option<u32>,
    /// In any moving 7 × 24 h.
    pub(crate) contact_per_week: Option<u32>,
    /// People whom both channels together write to in any moving 24 h.
    pub(crate) new_recipients: Option<u32>,
}

/// A seed's world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Wall time at the start.
    pub(crate) start: i64,
    /// Its tenants; their numbers are 1, 2, 3.
    pub(crate) tenants: Vec<TenantPlan>,
    /// A time in which a provider mostly says the same, if there is one.
    pub(crate) outage: Option<Outage>,
}

/// A time in which one tenant's providers mostly say the same.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    /// Whose.
    pub(crate) tenant: usize,
    /// From when on.
    pub(crate) from: i64,
    /// For how long.
    pub(crate) span: i64,
    /// What they say.
    pub(crate) says: Says,
    /// To so many calls of a thousand.
    pub(crate) in_thousand: u64,
}

impl Outage {
    fn draw(dice: &mut Dice) -> Outage {
        let words = [(Says::BadText, 800), (Says::Down, 900), (Says::Throttled, 400)];
        let (tenant, from) = (dice.below(3) as usize, (24 + dice.span(120)) * HOUR);
        let (says, in_thousand) = *dice.pick(&words);
        Outage { tenant, from, span: 20 * HOUR, says, in_thousand }
    }
}

/// 2026-10-21: Berlin puts its clocks back on the 25th.
const AUTUMN: i64 = 1_792_540_800_000;
/// 2027-03-24: Berlin puts its clocks forward on the 28th.
const SPRING: i64 = 1_805_846_400_000;

const HOUR: i64 = 3_600_000;

impl Plan {
    /// The world of a seed.
    pub(crate) fn new(dice: &mut Dice) -> Plan {
        let start = *dice.pick(&[AUTUMN, SPRING]) + dice.span(24 * HOUR);
        let weekdays = |from, to| Quiet { spelt: "mon-fri", days: (0..5).collect(), from, to };
        let weekend = |from, to| Quiet { spelt: "sat,sun", days: vec![5, 6], from, to };
        let every = |from, to| Quiet { spelt: "mon-sun", days: (0..7).collect(), from, to };
        let mut tenants = vec![
            TenantPlan {
                name: "acme",
                zone: "Europe/Berlin",
                contact_zone: false,
                quiet: vec![weekdays(20 * 60, 8 * 60), weekend(16 * 60, 10 * 60)],
                pace: [pace(dice), pace(dice)],
                contact_per_day: dice.chance(400).then_some(2),
                contact_per_week: dice.chance(200).then_some(5),
                new_recipients: dice.chance(400).then_some(4),
            },
            TenantPlan {
                name: "beta",
                zone: "America/Sao_Paulo",
                contact_zone: true,
                quiet: vec![every(22 * 60, 7 * 60 + 30)],
                pace: [pace(dice), pace(dice)],
                contact_per_day: dice.chance(400).then_some(2),
                contact_per_week: dice.chance(200).then_some(5),
                new_recipients: dice.chance(400).then_some(4),
            },
            TenantPlan {
                name: "gamma",
                zone: "Asia/Kolkata",
                contact_zone: false,
                quiet: vec![every(60, 3 * 60), every(13 * 60, 14 * 60)],
                pace: [pace(dice), pace(dice)],
                contact_per_day: dice.chance(400).then_some(2),
                contact_per_week: dice.chance(200).then_some(5),
                new_recipients: dice.chance(400).then_some(4),
            },
        ];
        let outage = dice.chance(400).then(|| Outage::draw(dice));
        if let Some(outage) = outage.as_ref().filter(|outage| outage.says == Says::Throttled) {
            // What is slowed has a pace.
            tenants[outage.tenant].pace[0] = Pace { rate: Some((5, 60_000, 2)), ..Pace::default() };
        }
        Plan { start, tenants, outage }
    }
}

fn pace(dice: &mut Dice) -> Pace {
    let recipient_gap = dice.chance(300).then_some(3 * HOUR);
    let forgets = dice.chance(400);
    let new_recipients = dice.chance(150).then_some(4);
    let kill_switch = dice.chance(150).then_some(50);
    Pace { recipient_gap, new_recipients, kill_switch, forgets, ..lane(dice) }
}

fn lane(dice: &mut Dice) -> Pace {
    match dice.below(8) {
        0 => Pace { rate: Some((2, 1_000, 1)), ..Pace::default() },
        1 => Pace { rate: Some((1, 60_000, 3)), per_hour: Some(6), ..Pace::default() },
        2 => Pace { gap: Some(90_000), jitter: Some(60_000), per_hour: Some(4), ..Pace::default() },
        3 => Pace { per_minute: Some(2), per_hour: Some(5), per_day: Some(9), ..Pace::default() },
        4 => Pace { rate: Some((5, 60_000, 2)), per_minute: Some(3), ..Pace::default() },
        5 => Pace { per_hour: Some(2), per_day: Some(7), rest: Some((3, 3_600_000)), ..Pace::default() },
        6 => Pace { per_day: Some(9), warm_up: Some((4, 2)), ..Pace::default() },
        _ => Pace::default(),
    }
}

impl Quiet {
    /// Whether it covers a minute of a day.
    pub(crate) fn covers(&self, day: u8, minute: u16) -> bool {
        let on = |day: u8| self.days.contains(&day);
        if self.from < self.to {
            on(day) && minute >= self.from && minute < self.to
        } else {
            (on(day) && minute >= self.from) || (on((day + 6) % 7) && minute < self.to)
        }
    }
}

impl TenantPlan {
    /// Its settings.
    pub(crate) fn settings(&self, on: bool) -> TenantSettings {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let quiet = self.quiet.iter().map(|q| (q.spelt.to_owned(), clock(q.from), clock(q.to)));
        TenantSettings {
            on,
            time_zone: self.zone.to_owned(),
            contact_time_zone: self.contact_zone,
            quiet_hours: quiet.collect(),
            stop_words: vec!["parar".to_owned()],
            contact_per_day: self.contact_per_day.unwrap_or(0),
            contact_per_week: self.contact_per_week.unwrap_or(0),
            ..TenantSettings::default()
        }
    }

    /// The zone whose hours apply to a contact.
    pub(crate) fn zone_of(&self, contact: usize) -> &'static str {
        if self.contact_zone { own_zone(contact).unwrap_or(self.zone) } else { self.zone }
    }

    /// The settings of the account.
    pub(crate) fn account(&self) -> AccountSettings {
        AccountSettings { new_recipients: self.new_recipients.unwrap_or(0) }
    }

    /// The settings of a channel.
    pub(crate) fn channel(&self, place: usize) -> ChannelSettings {
        let pace = &self.pace[place];
        let seconds = |ms: i64| format!("{} seconds", ms / 1_000);
        let (count, per, burst) = pace.rate.unwrap_or((0, 1_000, 0));
        ChannelSettings {
            kind: ["email", "whatsapp"][place].to_owned(),
            transport: "outbox".to_owned(),
            rate_count: count,
            rate_per: seconds(per),
            rate_burst: burst,
            gap: pace.gap.map(seconds).unwrap_or_default(),
            per_minute: pace.per_minute.unwrap_or(0),
            per_hour: pace.per_hour.unwrap_or(0),
            per_day: pace.per_day.unwrap_or(0),
            jitter: pace.jitter.map(seconds).unwrap_or_default(),
            rest: pace.rest.map(|(after, span)| RestSettings { after, span: seconds(span) }),
            warm_up: pace.warm_up.map(|(days, from)| WarmUp { days, from }),
            ignores_quiet_hours: None,
            recipient_gap: pace.recipient_gap.map(seconds).unwrap_or_default(),
            new_recipients: pace.new_recipients.unwrap_or(0),
            kill_switches: pace.kill_switch.map(|percent| {
                let switch = |signal: &str, percent, after| KillSwitchSettings {
                    signal: signal.to_owned(),
                    percent,
                    after,
                    report_only: false,
                };
                vec![switch("failed", percent, 8), switch("failed_in_a_row", 0, 6)]
            }),
            in_doubt: if pace.forgets { "leave".to_owned() } else { String::new() },
            account: ACCOUNT.to_owned(),
            ..ChannelSettings::default()
        }
    }
}

/// The own zone of a contact, where it is known.
pub(crate) fn own_zone(contact: usize) -> Option<&'static str> {
    match contact % 3 {
        0 => Some("America/New_York"),
        1 => Some("Europe/Berlin"),
        _ => None,
    }
}

/// The last digit of a contact's phone number: two of them share one.
pub(crate) fn number(contact: usize) -> usize {
    if contact == 6 { 5 } else { contact }
}

/// What a sequence is about.
pub(crate) fn target_kind(sequence: usize) -> TargetKind {
    [TargetKind::Contact, TargetKind::Charge, TargetKind::Deal][sequence]
}

/// Whether a step of a sequence goes out on business days only.
pub(crate) fn business_days_only(sequence: usize, step: u16) -> bool {
    sequence == 2 && step == 3
}

/// Whether any reply ends an enrollment of the sequence.
pub(crate) fn exits_on_reply(sequence: usize) -> bool {
    sequence != 1
}

/// A sequence as it is written; `edition` tells one version from the next.
pub(crate) fn draft(sequence: usize, edition: u32) -> Draft {
    let step = |wait: &str, at: &str, channel: &str| DraftStep {
        wait: wait.to_owned(),
        at: at.to_owned(),
        channel: channel.to_owned(),
        subject: format!("edition {edition}"),
        body: "dear {{ contact.name | default('friend') }}".to_owned(),
        ..DraftStep::default()
    };
    match sequence {
        0 => Draft {
            steps: vec![
                step("", "", "mail"),
                step("2 hours", "", "email"),
                step("1 day", "09:30", "mail"),
                step("1 business day", "", "mail"),
            ],
            reentry: "always".to_owned(),
            ..Draft::default()
        },
        1 => Draft {
            target: "charge".to_owned(),
            class: "transactional".to_owned(),
            exit_on_reply: "ignore".to_owned(),
            reentry: "1 hour".to_owned(),
            steps: vec![
                step("", "", "chat"),
                DraftStep { useless_after: "10 hours".to_owned(), ..step("30 minutes", "", "chat") },
                step("0 days", "19:59", "whatsapp"),
                DraftStep {
                    useless_after: "3 days".to_owned(),
                    late: "exit".to_owned(),
                    ..step("1 day", "", "chat")
                },
            ],
            ..Draft::default()
        },
        _ => Draft {
            target: "deal".to_owned(),
            class: "bulk".to_owned(),
            reentry: "always".to_owned(),
            steps: vec![
                step("10 minutes", "", "mail"),
                DraftStep { body: "{{ attributes.plan }}".to_owned(), ..step("3 hours", "", "chat") },
                step("6 hours", "", "mail"),
                DraftStep {
                    business_days_only: true,
                    on_failure: "exit".to_owned(),
                    ..step("1 business day", "10:00", "chat")
                },
            ],
            ..Draft::default()
        },
    }
}
