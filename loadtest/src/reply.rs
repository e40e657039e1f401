//! C: half of the sleepers reply, in random order; each leaves, durably.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::dormant::{self, SEQUENCE, TENANT};
use blackbox::seed::Seed;
use followupd_proto::v1;
use serde_json::json;

use crate::calls::{Calls, IN_FLIGHT, at_once};
use crate::figures::{Figures, quantile};

/// Of those that reply so many at most do so one after the other: it is the time of each that counts there.
const CLOSED_LOOP: usize = 5_000;

/// Events of one message of the stream, and messages that may be without an answer.
const BATCH: usize = 500;
const AHEAD: usize = 4;

/// Has half of `contacts` sleepers reply: some one after the other, then half of the rest 64 at once and half by a
/// stream.
///
/// # Errors
/// A call fails, or somebody who replied is still there.
pub(crate) async fn measure(folder: &Path, contacts: usize) -> io::Result<Figures> {
    let daemon = dormant::start(folder);
    dormant::enroll(&daemon, folder, contacts);
    let mut numbers = shuffled(contacts);
    numbers.truncate(contacts / 2);
    let alone: Vec<usize> = numbers.split_off(numbers.len() - (numbers.len() / 10).min(CLOSED_LOOP));
    let streamed = numbers.split_off(numbers.len() / 2);

    let (times, loop_took) = reply_each(&daemon, alone.clone(), 1).await?;
    let (many, many_took) = reply_each(&daemon, numbers.clone(), IN_FLIGHT).await?;
    let stream_took = stream(&daemon, &streamed).await?;

    let left = contacts - alone.len() - numbers.len() - streamed.len();
    let funnel =
        daemon.client().must("SequenceService/GetFunnel", &json!({ "tenant": TENANT, "sequence": SEQUENCE }));
    if funnel["versions"][0]["active"] != json!(left) {
        return Err(io::Error::other(format!("{left} should be left: {funnel}")));
    }
    daemon.stop();
    let mut figures = Figures::new("C: replies, each an exit that is synced before its answer");
    figures.count("asleep", "contacts", contacts);
    figures.rate("one after the other, a second", "closed_loop_per_s", alone.len(), loop_took);
    figures.ms("  p50, ms", "closed_loop_p50_ms", quantile(&times, 500));
    figures.ms("  p99, ms", "closed_loop_p99_ms", quantile(&times, 990));
    figures.rate("64 in flight, a second", "in_flight_per_s", numbers.len(), many_took);
    figures.ms("  p99, ms", "in_flight_p99_ms", quantile(&many, 990));
    figures.rate("one stream, a second", "stream_per_s", streamed.len(), stream_took);
    Ok(figures)
}

/// All of them, in random order.
fn shuffled(contacts: usize) -> Vec<usize> {
    let mut seed = Seed::of_this_run();
    let mut numbers: Vec<usize> = (0..contacts).collect();
    for place in (1..contacts).rev() {
        numbers.swap(place, seed.below(place as u64 + 1) as usize);
    }
    numbers
}

async fn reply_each(
    daemon: &Daemon,
    numbers: Vec<usize>,
    callers: usize,
) -> io::Result<(Vec<Duration>, Duration)> {
    let (client, numbers) = (Calls::of(daemon)?.events(), std::sync::Arc::new(numbers));
    at_once(numbers.len(), callers, move |at| {
        let (client, number) = (client.clone(), numbers[at]);
        let event =
            v1::SendRequest { tenant: TENANT.to_owned(), event: event(number).into(), ..Default::default() };
        async move {
            let answer = client.send(event).await.map_err(io::Error::other)?.into_owned();
            left_by(number, &answer.result)
        }
    })
    .await
}

fn event(number: usize) -> v1::Event {
    let contact = format!("ct-{number:07}");
    v1::Event {
        source: "inbox".to_owned(),
        id: contact.clone(),
        r#type: "message.received".to_owned(),
        contact,
        text: "Yes, please".to_owned(),
        ..Default::default()
    }
}

fn left_by(number: usize, result: &v1::EventResult) -> io::Result<()> {
    if result.exited.len() == 1 {
        Ok(())
    } else {
        Err(io::Error::other(format!("{number} did not leave: {result:?}")))
    }
}

/// Sends the replies of these over one stream; how long that took.
async fn stream(daemon: &Daemon, numbers: &[usize]) -> io::Result<Duration> {
    let began = Instant::now();
    let stream = Calls::of(daemon)?.events().send_stream().await.map_err(io::Error::other)?;
    let (mut out, mut back) = stream.into_split();
    let (ahead, mut waiting) = tokio::sync::mpsc::channel::<&[usize]>(AHEAD);
    let sending = async {
        for batch in numbers.chunks(BATCH) {
            ahead.send(batch).await.map_err(|_| io::Error::other("nobody reads the answers"))?;
            let events = batch.iter().map(|number| event(*number)).collect();
            let message = v1::SendStreamRequest { tenant: TENANT.to_owned(), events, ..Default::default() };
            out.send(message).await.map_err(io::Error::other)?;
        }
        out.close_send();
        drop(ahead);
        Ok::<_, io::Error>(())
    };
    let receiving = async {
        while let Some(batch) = waiting.recv().await {
            let answer = back.message().await.map_err(io::Error::other)?;
            let answer = answer.ok_or_else(|| io::Error::other("the stream ended early"))?.to_owned_message();
            for (number, result) in batch.iter().zip(&answer.results) {
                left_by(*number, result)?;
            }
        }
        Ok::<_, io::Error>(())
    };
    tokio::try_join!(sending, receiving)?;
    Ok(began.elapsed())
}
