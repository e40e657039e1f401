//! What contacts do during the demo: who replies, pays or opts out, and when. It follows from the contact's number
//! alone, so that every run tells the same story.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::contacts::Contacts;
use crate::demo::TENANT;
use crate::exit::Failure;
use followupd_proto::v1;

/// Over how long each contact's act is spread, in milliseconds from about its first mail. A prime, so that neighbours
/// in the file act at quite different times and no two numbers share one.
const SPREAD_MS: u64 = 14_983;

/// When a contact's first mail is sent, about: the channel sends 200 a second, in the order of the file.
const FIRST_MAIL_MS: u64 = 5;

/// How often the services send what has happened.
const TICK: Duration = Duration::from_millis(200);

/// Something a contact does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Act {
    /// How long after the enrolling.
    pub(super) after: Duration,
    /// What the platform's service says about it.
    pub(super) event: v1::Event,
}

/// What was played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Played {
    /// Events by type.
    pub(crate) events: BTreeMap<String, u64>,
    /// Enrollments that ended by them.
    pub(crate) exited: u64,
    /// Of their sends, how many had begun before.
    pub(crate) in_flight: u64,
}

/// The acts of everybody in a file, earliest first.
pub(super) fn script(file: &str) -> Vec<Act> {
    let Ok(mut contacts) = Contacts::open(file.as_bytes()) else { return Vec::new() };
    let mut acts = Vec::new();
    while let Ok(Some(row)) = contacts.next() {
        let Ok(wish) = row.says else { continue };
        let number = wish.contact.rsplit('-').next().and_then(|digits| digits.parse().ok());
        if let Some(number) = number {
            acts.extend(act(number, &wish));
        }
    }
    acts.sort_by_key(|act| act.after);
    // A contact that stands twice in the file acts once.
    let mut seen = std::collections::BTreeSet::new();
    acts.retain(|act| seen.insert(act.event.id.clone()));
    acts
}

/// Of fifty contacts ten reply, five pay, one opts out and one has an automatic reply, which ends nothing.
fn act(number: u64, wish: &v1::Enroll) -> Option<Act> {
    let (source, r#type, text) = match number % 50 {
        49 => ("inbox", "message.received", "STOP"),
        44 => ("inbox", "message.received", "I am out of office until Monday."),
        n if n % 10 == 3 || n % 10 == 8 => {
            ("inbox", "message.received", "Thanks, I will look into it today.")
        }
        n if n % 10 == 6 => ("payments", "charge.paid", ""),
        _ => return None,
    };
    let after = Duration::from_millis(number * FIRST_MAIL_MS + number * 7_919 % SPREAD_MS);
    let event = v1::Event {
        source: source.to_owned(),
        id: format!("{type}/{}", wish.contact),
        r#type: r#type.to_owned(),
        contact: wish.contact.clone(),
        target: if source == "payments" { wish.target.clone() } else { Default::default() },
        text: text.to_owned(),
        automatic: number % 50 == 44,
        ..Default::default()
    };
    Some(Act { after, event })
}

/// Plays a script whose time began at `began`.
pub(super) async fn run(server: &Server, script: &[Act], began: Instant) -> Result<Played, Failure> {
    let (mut played, mut rest) = (Played::default(), script);
    let mut every = tokio::time::interval(TICK);
    let events = server.events();
    while !rest.is_empty() {
        every.tick().await;
        let now = rest.partition_point(|act| act.after <= began.elapsed());
        let (due, later) = rest.split_at(now);
        rest = later;
        for batch in due.chunks(crate::limits::CSV_BATCH) {
            let said: Vec<v1::Event> = batch.iter().map(|act| act.event.clone()).collect();
            for event in &said {
                *played.events.entry(event.r#type.clone()).or_default() += 1;
            }
            let request =
                v1::SendBatchRequest { tenant: TENANT.to_owned(), events: said, ..Default::default() };
            let answered = answer(server, events.send_batch(request)).await?;
            count(&answered.results, &mut played)?;
        }
    }
    Ok(played)
}

fn count(results: &[v1::EventResult], played: &mut Played) -> Result<(), Failure> {
    for result in results {
        if result.outcome == v1::EventOutcome::Refused {
            return Err(Failure::other(format!("an event was refused: {}", result.problem)));
        }
        played.exited += result.exited.len() as u64;
        played.in_flight += result.in_flight_send_ids.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::CONTACTS;

    #[test]
    fn every_run_tells_the_same_story() {
        let acts = script(CONTACTS);
        assert_eq!(acts, script(CONTACTS));
        assert!(acts.windows(2).all(|pair| pair[0].after <= pair[1].after));
        let of = |keep: &dyn Fn(&v1::Event) -> bool| acts.iter().filter(|act| keep(&act.event)).count();
        assert_eq!(of(&|event| event.r#type == "charge.paid"), 100);
        assert_eq!(of(&|event| event.text.starts_with("Thanks")), 200);
        assert_eq!(of(&|event| event.text == "STOP"), 20);
        assert_eq!(of(&|event| event.automatic), 20);
    }

    #[test]
    fn acts_are_spread_over_the_run_and_have_ids_of_their_own() {
        let acts = script(CONTACTS);
        let seconds = |act: &Act| act.after.as_secs();
        let last = acts.iter().map(seconds).max().unwrap_or_default();
        let busiest = (0..=last).map(|second| acts.iter().filter(|act| seconds(act) == second).count()).max();
        assert!((15..20).contains(&last), "{last}");
        assert!(busiest.unwrap_or_default() < acts.len() / 8, "{busiest:?}");
        let ids: std::collections::BTreeSet<_> = acts.iter().map(|act| &act.event.id).collect();
        assert_eq!(ids.len(), acts.len());
        assert!(
            acts.iter().filter(|act| act.event.source == "payments").all(|act| act.event.target.is_set())
        );
    }
}
