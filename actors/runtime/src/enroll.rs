//! Enrolling: many at once, each its own commit, all in flight together. No actor is activated for it.

use std::sync::Arc;

use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll::{self, Enrolling, Facts, New, Request};
use followupd_domain::decision::{Entry, Source};
use followupd_domain::lane::WakeRow;
use followupd_domain::sequence::Version;
use followupd_domain::target::Target;
use followupd_domain::{Moment, SequenceNo, TenantNo, gate, limits as domain_limits, name};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Key, Refused, Row};

use crate::api::{Caller, EnrollAnswer, Error};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::record::{self, Read, Record, read_or_default};
use crate::shard::ShardMsg;

/// One wish with what was read for it.
struct Wish<'a> {
    request: &'a Request,
    contact: Read<Contact>,
    target: Option<Read<Target>>,
}

/// What one attempt at a wish came to.
enum Attempt {
    Answered(EnrollAnswer),
    /// Something changed under it: read it again.
    Again,
}

/// Enrolls a batch; the answers stand in the order of the requests.
pub(crate) async fn enroll(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    sequence: &str,
    requests: &[Request],
) -> Result<Vec<EnrollAnswer>, Error> {
    let mut answers: Vec<Option<EnrollAnswer>> = requests.iter().map(checked).collect();
    for _ in 0..limits::LOOKS {
        let loaded = tenant.loaded();
        let sequence = loaded.sequence(sequence)?.no;
        let open: Vec<usize> = (0..requests.len()).filter(|i| answers[*i].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let wishes = read(node, &loaded, open.iter().map(|i| &requests[*i])).await?;
        let round = Round { node, loaded: &loaded, sequence, caller };
        let attempts = round.attempt(&wishes).await?;
        for (i, attempt) in open.into_iter().zip(attempts) {
            if let Attempt::Answered(answer) = attempt {
                answers[i] = Some(answer);
            }
        }
        if answers.iter().any(Option::is_none) {
            crate::tenant::refresh(tenant, &loaded).await;
        }
    }
    let given_up = || Error::Overloaded { retry_after: limits::COME_BACK };
    answers.into_iter().map(|answer| answer.ok_or_else(given_up)).collect()
}

/// A wish that cannot be is answered before anything is read.
fn checked(request: &Request) -> Option<EnrollAnswer> {
    let refused = |field: &str, problem: String| {
        Some(EnrollAnswer::Refused { reason: "invalid", problem: format!("{field}: {problem}") })
    };
    if let Err(error) = name::check_id(&request.contact) {
        return refused("contact", error.to_string());
    }
    if let Some(Err(error)) = request.target.as_ref().map(|target| name::check_id(&target.id)) {
        return refused("target.id", error.to_string());
    }
    let size = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
    };
    let (of_contact, of_target) = (size(&request.profile.attributes), size(&request.target_attributes));
    let most = domain_limits::ATTRIBUTE_BYTES;
    if of_contact.max(of_target) > most {
        return refused(
            "attributes",
            format!("have {} bytes: at most {most} are allowed", of_contact.max(of_target)),
        );
    }
    None
}

async fn read<'a>(
    node: &Node,
    loaded: &Loaded,
    requests: impl Iterator<Item = &'a Request>,
) -> Result<Vec<Wish<'a>>, Error> {
    let requests: Vec<&Request> = requests.collect();
    let (shard, tenant) = (loaded.shard, loaded.scope.tenant.no);
    let contacts = requests.iter().map(|request| Key::contact(shard, tenant, &request.contact));
    let targets = requests.iter().filter_map(|request| request.target.as_ref());
    let keys: Vec<Key> = contacts.chain(targets.map(|target| Key::target(shard, tenant, target))).collect();
    let mut rows = node.store.get(keys.clone()).await?.into_iter().zip(keys);
    let contacts: Vec<(Option<Row>, Key)> = rows.by_ref().take(requests.len()).collect();
    let mut wishes = Vec::with_capacity(requests.len());
    for (request, (row, key)) in requests.into_iter().zip(contacts) {
        let contact = read_or_default(Format::Contact, key, row)?;
        let target = match (&request.target, request.target.as_ref().and_then(|_| rows.next())) {
            (Some(_), Some((row, key))) => Some(read_or_default(Format::Target, key, row)?),
            _ => None,
        };
        wishes.push(Wish { request, contact, target });
    }
    Ok(wishes)
}

/// What all wishes of one round share.
struct Round<'a> {
    node: &'a Arc<Node>,
    loaded: &'a Arc<Loaded>,
    sequence: SequenceNo,
    caller: &'a Caller,
}

impl Round<'_> {
    async fn attempt(&self, wishes: &[Wish<'_>]) -> Result<Vec<Attempt>, Error> {
        let loaded = self.loaded;
        let known = loaded.scope.sequences.get(&self.sequence);
        let Some(version) = known.and_then(|sequence| loaded.latest(sequence)) else {
            let refusal = enroll::Refusal::Unpublished;
            return Ok(wishes.iter().map(|_| Attempt::Answered(refused(refusal))).collect());
        };
        let attempts = wishes.iter().map(|wish| self.one(wish, version));
        let attempts = futures::future::join_all(attempts).await;
        let mut rows = Vec::new();
        let mut answers = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let (attempt, row) = attempt?;
            rows.extend(row);
            answers.push(attempt);
        }
        if !rows.is_empty() {
            self.node.tell(loaded.shard, ShardMsg::Wakes(rows));
        }
        Ok(answers)
    }

    async fn one(&self, wish: &Wish<'_>, version: &Version) -> Result<(Attempt, Option<WakeRow>), Error> {
        let now = self.node.now();
        let facts = Facts {
            contact: &wish.contact.value,
            target: wish.target.as_ref().map(|target| &target.value),
            scope: &self.loaded.scope,
            sequence: self.sequence,
            version,
            now,
        };
        let id = self.node.new_enrollment_id(self.loaded.shard);
        let decided = enroll::enroll(&self.request(wish), &facts, id);
        let new = match decided {
            Err(refusal) => return Ok((Attempt::Answered(refused(refusal)), None)),
            Ok(Enrolling::Already(id)) => {
                return Ok((Attempt::Answered(EnrollAnswer::AlreadyEnrolled { id }), None));
            }
            Ok(Enrolling::New(new)) => new,
        };
        let commit = self.commit(wish, &new, now)?;
        match self.node.store.commit(commit).await {
            Ok(_) => {
                let first_send_not_before = self.first_send(&new, version, now);
                let answer = EnrollAnswer::Enrolled { id, first_send_not_before };
                Ok((Attempt::Answered(answer), new.enrollment.wake_row()))
            }
            Err(Refused::Stale(_)) => Ok((Attempt::Again, None)),
            // It may be there: its lane has to hear of it, and the next reading says.
            Err(Refused::Unknown) => Ok((Attempt::Again, new.enrollment.wake_row())),
            Err(error @ (Refused::Limit(_) | Refused::Unavailable(_) | Refused::Invalid(_))) => {
                Err(Error::Unavailable(error.to_string()))
            }
        }
    }

    /// The wish as made by this caller.
    fn request(&self, wish: &Wish<'_>) -> Request {
        Request { by: self.caller.by.clone(), source: Source::Api, ..wish.request.clone() }
    }

    fn commit(&self, wish: &Wish<'_>, new: &New, now: Moment) -> Result<Commit, Error> {
        let loaded = self.loaded;
        let tenant: TenantNo = loaded.scope.tenant.no;
        let mut commit = Commit::new(Class::Enroll, tenant, loaded.shard);
        // Its own row must not exist, its contact and scopes must be as they were read.
        let key = Key::enrollment(new.enrollment.id);
        commit.expects.push(followupd_store::Expect { key: key.clone(), version: None });
        commit.expects.push(wish.contact.expectation());
        commit.expects.extend(loaded.expects_sequence(self.sequence));
        let entry =
            |decision: &_| Entry { at: now, trace: self.caller.trace, decision: Clone::clone(decision) };
        let history = new.decisions.iter().map(entry).collect();
        let record = Record { enrollment: new.enrollment.clone(), spilled: 0, history };
        record::put(&mut commit, key, Format::Enrollment, &record)?;
        record::put(&mut commit, wish.contact.key.clone(), Format::Contact, &new.contact)?;
        if let (Some(read), Some(target)) = (&wish.target, &new.target) {
            commit.expects.push(read.expectation());
            record::put(&mut commit, read.key.clone(), Format::Target, target)?;
        }
        let wake = new.enrollment.wake_row();
        commit.puts.extend(wake.map(|row| (Key::wake(&row), bytes::Bytes::new())));
        record::count(loaded.shard, None, &new.enrollment, &mut commit);
        Ok(commit)
    }

    /// When its first send can leave at the earliest: its due time, then the hours.
    fn first_send(&self, new: &New, version: &Version, now: Moment) -> Moment {
        let enrollment = &new.enrollment;
        let due_at = enrollment.wake.map_or(now, |wake| wake.due_at);
        let view = gate::View {
            enrollment,
            contact: &new.contact,
            target: new.target.as_ref(),
            scope: &self.loaded.scope,
            version,
            now: due_at,
        };
        let step = version.step(enrollment.step);
        let opens = step.and_then(|step| {
            let hours = gate::open_hours(view.scope, view.channel(step)?, &view.queue(step));
            view.calendar().next_open(due_at, &hours)
        });
        opens.unwrap_or(due_at)
    }
}

fn refused(refusal: enroll::Refusal) -> EnrollAnswer {
    EnrollAnswer::Refused { reason: refusal.word(), problem: refusal.to_string() }
}
