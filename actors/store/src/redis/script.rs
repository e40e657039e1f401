//! A commit as the arguments of `commit.lua`, and what that answers.

use followupd_domain::Moment;
use followupd_domain::ledger::{Charge, LimitName, Limits, Refusal};
use redis::Value;
use std::collections::BTreeMap;

use super::Fenced;
use crate::commit::{Applied, Commit, LedgerOp, Refused};
use crate::limits;
use crate::row::Version;
use crate::{Error, Key};

/// Arguments of one ledger change after its letter.
const LEDGER_ARGUMENTS: usize = 14;

/// The limits by the numbers that `ledger.lua` gives them.
const LIMITS: [LimitName; 7] = [
    LimitName::Rate,
    LimitName::Gap,
    LimitName::PerMinute,
    LimitName::PerHour,
    LimitName::PerDay,
    LimitName::Rest,
    LimitName::NewRecipients,
];

/// What one call of the script is given.
#[derive(Debug)]
pub(super) struct Call {
    /// The tables whose rows it may touch, in the order of their numbers.
    pub(super) tables: Vec<u8>,
    /// The arguments after the token and the op id.
    pub(super) arguments: Vec<Vec<u8>>,
}

impl Call {
    /// What `commit` needs.
    pub(super) fn new(commit: &Commit) -> Self {
        let mut call =
            Call { tables: Vec::new(), arguments: vec![limits::OPS_REMEMBERED.to_string().into_bytes()] };
        let mut places = BTreeMap::new();
        call.list(commit.expects.len());
        for expect in &commit.expects {
            call.key(&mut places, &expect.key);
            call.arguments
                .push(expect.version.map_or(Vec::new(), |version| version.0.to_be_bytes().to_vec()));
        }
        call.list(commit.puts.len());
        for (key, body) in &commit.puts {
            call.key(&mut places, key);
            call.arguments.push(body.to_vec());
        }
        call.list(commit.deletes.len());
        for key in &commit.deletes {
            call.key(&mut places, key);
        }
        call.list(commit.counts.len());
        for count in &commit.counts {
            call.key(&mut places, &count.key);
            call.text(count.by);
        }
        call.list(commit.ledger.len());
        for change in &commit.ledger {
            call.key(&mut places, &change.key);
            call.ledger_op(&change.op);
        }
        call
    }

    fn text(&mut self, value: impl ToString) {
        self.arguments.push(value.to_string().into_bytes());
    }

    fn maybe(&mut self, value: Option<impl ToString>) {
        self.arguments.push(value.map_or(Vec::new(), |value| value.to_string().into_bytes()));
    }

    fn list(&mut self, length: usize) {
        self.text(length);
    }

    fn key(&mut self, places: &mut BTreeMap<u8, usize>, key: &Key) {
        let table = key.as_bytes().first().copied().unwrap_or_default();
        let place = *places.entry(table).or_insert_with(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        self.text(place);
        self.arguments.push(key.as_bytes().to_vec());
    }

    fn ledger_op(&mut self, op: &LedgerOp) {
        let until = self.arguments.len() + 1 + LEDGER_ARGUMENTS;
        match op {
            LedgerOp::Charge { limits, now, day } => {
                self.text('c');
                self.text(now.0);
                self.text(day.day);
                self.text(day.next_day_at.0);
                self.limits(limits);
            }
            LedgerOp::Settle { charge, started_at } => {
                self.text('s');
                self.charge(charge);
                self.maybe(started_at.map(|at| at.0));
            }
            LedgerOp::Refund { charge } => {
                self.text('r');
                self.charge(charge);
            }
            LedgerOp::Recipient { cap, now, before, counted_at } => {
                self.text('n');
                self.text(cap);
                self.text(now.0);
                self.maybe(before.map(|at| at.0));
                self.text(counted_at.0);
            }
        }
        self.arguments.resize(until, Vec::new());
    }

    fn limits(&mut self, limits: &Limits) {
        self.maybe(limits.rate.map(|rate| rate.count));
        self.maybe(limits.rate.map(|rate| rate.per.0));
        self.maybe(limits.rate.map(|rate| rate.burst));
        self.maybe(limits.gap.map(|gap| gap.0));
        self.maybe(limits.per_minute);
        self.maybe(limits.per_hour);
        self.maybe(limits.per_day);
        self.maybe(limits.rest.map(|rest| rest.after));
        self.maybe(limits.rest.map(|rest| rest.span.0));
        self.maybe(limits.warm_up.map(|warm_up| warm_up.days));
        self.maybe(limits.warm_up.map(|warm_up| warm_up.from));
    }

    fn charge(&mut self, charge: &Charge) {
        self.text(charge.at.0);
        self.text(charge.day.day);
        self.text(charge.day.next_day_at.0);
        self.text(u8::from(charge.open));
    }
}

/// The script said something it cannot say.
#[derive(Debug, thiserror::Error)]
#[error("the commit script answered {0:?}")]
struct Strange(Value);

/// What the script's answer means for `commit`.
pub(super) fn verdict(commit: &Commit, answer: Value) -> Result<Applied, Refused> {
    let texts = texts(&answer);
    let number =
        |place: usize| texts.get(place).and_then(|text| std::str::from_utf8(text).ok()?.parse::<i64>().ok());
    match (texts.first().map(Vec::as_slice), number(1)) {
        (Some(b"ok"), Some(version)) => Ok(Applied { version: Version(version.unsigned_abs()) }),
        (Some(b"fenced"), _) => Err(Refused::Unavailable(Box::new(Fenced))),
        (Some(b"stale"), Some(place)) => {
            match usize::try_from(place).ok().and_then(|place| commit.expects.get(place)) {
                Some(expect) => Err(Refused::Stale(expect.key.clone())),
                None => Err(Refused::Unknown),
            }
        }
        (Some(b"limit"), Some(limit)) => {
            match usize::try_from(limit).ok().and_then(|limit| LIMITS.get(limit)) {
                Some(limit) => Err(Refused::Limit(refusal(*limit, number(2)))),
                None => Err(Refused::Unknown),
            }
        }
        (Some(b"damaged"), _) => {
            let key = Key::from_bytes(texts.get(1).cloned().unwrap_or_default());
            Err(Refused::Unavailable(Box::new(Error::Damaged(format!(
                "{key:?} is not what its table holds"
            )))))
        }
        // Whatever it was, it may have written before it.
        _ => {
            tracing::error!(error = %Strange(answer), "a commit's fate is unknown");
            Err(Refused::Unknown)
        }
    }
}

/// The parts of an answer as bytes, up to the first that is neither text nor number.
fn texts(answer: &Value) -> Vec<Vec<u8>> {
    let Value::Array(parts) = answer else { return Vec::new() };
    let text = |part: &Value| {
        if let Value::BulkString(bytes) = part {
            Some(bytes.clone())
        } else if let Value::Int(number) = part {
            Some(number.to_string().into_bytes())
        } else {
            None
        }
    };
    parts.iter().map_while(text).collect()
}

fn refusal(limit: LimitName, at: Option<i64>) -> Refusal {
    at.map_or(Refusal::Open { limit }, |at| Refusal::Until { limit, at: Moment(at) })
}
