//! Enrolling: many at once, each its own commit, all in flight together. No actor is activated for it.

use std::sync::Arc;

use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll::{self, Enrolling, Facts, New, Request};
use followupd_domain::decision::Entry;
use followupd_domain::lane::WakeRow;
use followupd_domain::sequence::Version;
use followupd_domain::suppression::Address;
use followupd_domain::target::Target;
use followupd_domain::{Moment, SequenceNo, Span, TenantNo, gate, limits as domain_limits, name};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Key, Refused, Row};

use crate::addresses;
use crate::api::{Caller, EnrollAnswer, Error};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::record::{self, Read, Record, read_contact, read_or_default};
use crate::settings;
use crate::shard::ShardMsg;
use crate::suppression;
use crate::waves::{About, waves};

/// One wish with what was read for it.
struct Wish<'a> {
    request: &'a Request,
    contact: Read<Contact>,
    target: Option<Read<Target>>,
}

/// What one attempt at a wish came to.
enum Attempt {
    Answered(EnrollAnswer),
    /// Something changed under it: read it again, and the scope as well if that is what changed.
    Again {
        scope: bool,
    },
}

/// Enrolls a batch, in its order for each contact and target; the answers stand in the order of the requests.
pub(crate) async fn enroll(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    sequence: &str,
    requests: &[Request],
) -> Result<Vec<EnrollAnswer>, Error> {
    let mut answers: Vec<Option<EnrollAnswer>> = requests.iter().map(checked).collect();
    // An unknown sequence is told whatever the wishes are.
    tenant.loaded().sequence(sequence)?;
    let about = requests
        .iter()
        .map(|request| About { contact: Some(&request.contact), target: request.target.as_ref() });
    for mut open in waves(about) {
        for _ in 0..limits::LOOKS {
            open.retain(|place| answers[*place].is_none());
            if open.is_empty() {
                break;
            }
            let loaded = tenant.loaded();
            let round = Round { node, loaded: &loaded, sequence: loaded.sequence(sequence)?.no, caller };
            let wishes = read(node, &loaded, open.iter().map(|place| &requests[*place])).await?;
            let mut old_scope = false;
            for (place, attempt) in open.iter().zip(round.attempt(&wishes).await?) {
                match attempt {
                    Attempt::Answered(answer) => answers[*place] = Some(answer),
                    Attempt::Again { scope } => old_scope |= scope,
                }
            }
            if old_scope {
                crate::tenant::refresh(tenant, &loaded).await;
            }
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
        let contact = read_contact(key, row)?;
        let target = match (&request.target, request.target.as_ref().and_then(|_| rows.next())) {
            (Some(_), Some((row, key))) => Some(read_or_default(Format::Target, key, row)?),
            _ => None,
        };
        wishes.push(Wish { request, contact, target });
    }
    bar(node, loaded, &mut wishes).await?;
    Ok(wishes)
}

/// Tells the contacts of these wishes what is suppressed of the addresses they will have. An intent expects these rows:
/// what changes after this reading stops the send.
async fn bar(node: &Node, loaded: &Loaded, wishes: &mut [Wish<'_>]) -> Result<(), Error> {
    let addresses = wishes.iter().map(|wish| {
        let (known, given) = (&wish.contact.value, &wish.request.profile);
        let email = given.email.clone().or_else(|| known.email.clone()).map(Address::Email);
        let phone = given.phone.clone().or_else(|| known.phone.clone()).map(Address::Phone);
        let id = wish.contact.version.is_none().then(|| Address::Contact(wish.request.contact.clone()));
        [email, phone, id].into_iter().flatten().collect()
    });
    let read = suppression::read_each(&*node.store, node.place(loaded), addresses.collect()).await?;
    for (wish, addresses) in wishes.iter_mut().zip(read) {
        addresses.bar(&mut wish.contact.value);
    }
    Ok(())
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
        // What is written has its lane told, whatever became of the others.
        let done = || attempts.iter().filter_map(|attempt| attempt.as_ref().ok());
        let rows: Vec<WakeRow> = done().filter_map(|(_, row)| *row).collect();
        if !rows.is_empty() {
            self.node.tell(loaded.shard, ShardMsg::Wakes(rows));
        }
        attempts.into_iter().map(|attempt| attempt.map(|(attempt, _)| attempt)).collect()
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
            Err(Refused::Stale(key)) => {
                let scope = self.loaded.versions.contains_key(&key) || key.is_addresses_known();
                Ok((Attempt::Again { scope }, None))
            }
            // It may be there: its lane has to hear of it, and the next reading says.
            Err(Refused::Unknown) => Ok((Attempt::Again { scope: false }, new.enrollment.wake_row())),
            Err(error @ (Refused::Limit(_) | Refused::Unavailable(_) | Refused::Invalid(_))) => {
                Err(settings::refused(error))
            }
        }
    }

    /// The wish as made by this caller.
    fn request(&self, wish: &Wish<'_>) -> Request {
        Request { by: self.caller.by.clone(), ..wish.request.clone() }
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
        record::put(&mut commit, wish.contact.key.clone(), Format::Contact3, &new.contact)?;
        let place = self.node.place(loaded);
        let phones = (wish.contact.value.phone.as_deref(), new.contact.phone.as_deref());
        addresses::note(place, &loaded.scope, &wish.request.contact, phones, &mut commit);
        if let (Some(read), Some(target)) = (&wish.target, &new.target) {
            commit.expects.push(read.expectation());
            record::put(&mut commit, read.key.clone(), Format::Target, target)?;
        }
        record::put_wake(new.enrollment.wake_row(), &mut commit);
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
            engine_ahead: Span::ZERO,
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
