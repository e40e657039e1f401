//! B: enrollments due in the same second, each a webhook to a local sink, then a step that is due in an hour; and D:
//! the same with a daemon that is killed in the middle.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use serde_json::json;

use crate::figures::{Figures, quantile};
use crate::sink::{Arrival, Sink, now_ms};

const TENANT: &str = "acme";
const SEQUENCE: &str = "fire";

/// Nothing has come for so long: nothing more will.
const QUIET: Duration = Duration::from_secs(20);

/// Where a body of about 300 bytes comes from.
const TEXT: &str = "{{ contact.id }}, this is what a short message looks like.";

/// Fires `contacts` at once; with `kill`, kills the daemon when a third has arrived and starts it again.
///
/// # Errors
/// Something is lost, or came again that the sink knows.
pub(crate) fn measure(folder: &Path, contacts: usize, kill: bool) -> io::Result<Figures> {
    let sink = Sink::start()?;
    let settings = "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n";
    let mut daemon = Daemon::start_with(folder, settings);
    let due = next_minute(contacts);
    set_up(&daemon, folder, &sink, due)?;
    enroll(&daemon, folder, contacts)?;
    if now_ms() > due as f64 {
        return Err(io::Error::other("they were due before all were enrolled: try fewer"));
    }
    // A daemon that is killed takes what it had taken with it.
    let before = if kill { Duration::ZERO } else { daemon.cpu() };
    let restarted = if kill { Some(kill_at(&mut daemon, &sink, contacts / 3)) } else { None };
    wait(&sink, contacts);
    let arrivals = sink.arrivals();
    let steps = settled(&daemon, contacts)?;
    let cpu = daemon.cpu().saturating_sub(before);
    daemon.stop();
    let mut figures =
        Figures::new(if kill { "D: killed in the middle of B" } else { "B: due in the same second" });
    let repeats: u32 = arrivals.iter().map(|arrival| arrival.times - 1).sum();
    figures.count("contacts", "contacts", contacts);
    figures.count("lost", "lost", contacts - arrivals.len().min(contacts));
    figures.count("came again under their key", "repeated", repeats as usize);
    figures.count("sent, says the funnel", "sent", steps);
    let since = |at: f64| Duration::from_secs_f64(((at - due as f64) / 1_000.0).max(0.0));
    let late: Vec<Duration> = arrivals.iter().map(|arrival| since(arrival.at)).collect();
    let (first, last) = (late.first().copied().unwrap_or_default(), late.last().copied().unwrap_or_default());
    figures.rate("posts a second", "posts_per_s", arrivals.len(), last.saturating_sub(first));
    if !kill {
        figures.cpu("cpu_s_per_1000", contacts, cpu);
    }
    figures.ms("lateness of the first, ms", "first_late_ms", first);
    figures.ms("lateness p50, ms", "p50_late_ms", quantile(&late, 500));
    figures.ms("lateness p99, ms", "p99_late_ms", quantile(&late, 990));
    figures.ms("lateness of the last, ms", "last_late_ms", last);
    if let Some((began, ready)) = restarted {
        figures.ms("from the restart to ready, ms", "ready_ms", ready);
        let after = |arrival: &&Arrival| arrival.at > began;
        let first = arrivals.iter().find(after).map_or(0.0, |arrival| arrival.at - began);
        figures.number("from the restart to the first post, ms", "restart_to_first_ms", first, 0);
    }
    if arrivals.len() == contacts && steps == contacts {
        Ok(figures)
    } else {
        figures.print(false);
        Err(io::Error::other("not everything that was due was sent"))
    }
}

/// A whole minute, far enough ahead to enroll so many before it; in milliseconds since 1970.
fn next_minute(contacts: usize) -> i64 {
    let needed = 15_000 + (contacts / 15) as i64;
    let earliest = now_ms() as i64 + needed;
    (earliest / 60_000 + 1) * 60_000
}

fn set_up(daemon: &Daemon, folder: &Path, sink: &Sink, due: i64) -> io::Result<()> {
    let file = |name: &str, text: String| -> io::Result<String> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let minute = due / 60_000 % (24 * 60);
    let at = format!("{:02}:{:02}", minute / 60, minute % 60);
    let tenant = file("tenant.yaml", "on: true\ntime_zone: UTC\n".to_owned())?;
    let channel = format!(
        "kind: webhook\ntransport: http\nhttp:\n  url: http://{}/\n  connections: 64\n  secrets:\n    \
         - value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        sink.address
    );
    let channel = file("channel.yaml", channel)?;
    let steps = format!(
        "steps:\n  - wait: 0 days\n    at: \"{at}\"\n    channel: hook\n    body: \"{TEXT}\"\n  - wait: 1 hour\n    \
         channel: hook\n    body: \"{TEXT}\"\n"
    );
    let steps = file("sequence.yaml", steps)?;
    daemon.cli_must(TENANT, &["tenant", "put", TENANT, "-f", &tenant]);
    daemon.cli_must(TENANT, &["channel", "put", "hook", "-f", &channel]);
    daemon.cli_must(TENANT, &["sequence", "put", SEQUENCE, "-f", &steps, "--publish"]);
    Ok(())
}

fn enroll(daemon: &Daemon, folder: &Path, contacts: usize) -> io::Result<()> {
    let csv = folder.join("fire.csv");
    let rows: String = (0..contacts).map(|number| format!("ct-{number:07}\n")).collect();
    fs::write(&csv, format!("contact\n{rows}"))?;
    let csv = csv.display().to_string();
    daemon.cli_must(TENANT, &["enroll", "--sequence", SEQUENCE, "--csv", &csv]);
    Ok(())
}

/// Kills the daemon when so many posts have arrived; when it was started again, and how long it took to be ready.
fn kill_at(daemon: &mut Daemon, sink: &Sink, posts: usize) -> (f64, Duration) {
    while sink.count() < posts {
        std::thread::sleep(Duration::from_millis(1));
    }
    daemon.kill();
    let (at, began) = (now_ms(), Instant::now());
    daemon.restart();
    (at, began.elapsed())
}

/// Waits for so many posts, or until nothing more comes.
fn wait(sink: &Sink, contacts: usize) {
    let (mut count, mut since) = (sink.count(), Instant::now());
    while count < contacts && (count == 0 || since.elapsed() < QUIET) {
        std::thread::sleep(Duration::from_millis(20));
        if sink.count() > count {
            (count, since) = (sink.count(), Instant::now());
        }
    }
}

/// How many first steps count as sent, once all are settled.
fn settled(daemon: &Daemon, contacts: usize) -> io::Result<usize> {
    let (mut client, began) = (daemon.client(), Instant::now());
    loop {
        let funnel =
            client.must("SequenceService/GetFunnel", &json!({ "tenant": TENANT, "sequence": SEQUENCE }));
        let step = &funnel["versions"][0]["steps"][0];
        let sent = step["sent"].as_u64().unwrap_or(0) as usize;
        if sent == contacts || began.elapsed() > QUIET {
            return Ok(sent);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
