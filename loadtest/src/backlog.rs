//! A backlog: contacts of three zones and two sequences, all due at the same second on one lane of 80 a second. One
//! sequence is held. What it costs is rows: the daemon's memory, the first message, one of a higher class that comes
//! behind all of them, the reply of the last in line, and what the daemon says of it, are held to the figures.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::Client;
use serde_json::{Value, json};

use crate::figures::{Figures, quantile};
use crate::sink::{Arrival, Sink, now_ms};

const TENANT: &str = "acme";

/// Sends a second, and how many may begin together.
const RATE: usize = 80;
const BURST: usize = 8;

/// One contact in so many is of the sequence that is held.
const HELD: usize = 3;

/// Zones in which it is the same time, so that all are due at the same second, each in its own queue.
const ZONES: [&str; 3] = ["Africa/Abidjan", "Atlantic/Reykjavik", "Africa/Accra"];

/// What the messages of each sequence say: of the one that goes, of the one that is held, of the transactional one.
const WORDS: &[&str] = &["word-of-renewal", "word-of-welcome", "word-of-code"];

/// Room to start the daemon again before they are due, in milliseconds.
const RESTART: i64 = 15_000;

/// How much more memory than before they were due it may take, in MiB: 50 MB.
const GROWTH_MIB_MOST: f64 = 47.7;

/// How late the first may be.
const FIRST_MOST: Duration = Duration::from_millis(100);

/// How long one of a higher class that comes behind all of them may take.
const TRANSACTIONAL_MOST: Duration = Duration::from_secs(1);

/// How long the reply of the last in line may take to be answered, which it is when they have left.
const REPLY_MOST: Duration = Duration::from_millis(100);

/// Has `contacts` come due at once, and watches for a while. They are enrolled, and the daemon is killed and started
/// again: what memory they take is told from what it took to enroll them.
///
/// # Errors
/// Something leaves that should not, too fast or not at all, the daemon says what is not so, or a figure is over its
/// bar.
pub(crate) fn measure(folder: &Path, contacts: usize, watched: Duration) -> io::Result<Figures> {
    let sink = Sink::start_with(WORDS)?;
    let mut daemon = Daemon::start_with(folder, "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n");
    let due = next_minute(contacts);
    set_up(&daemon, folder, &sink, due)?;
    let held = contacts / HELD;
    let enrolling = fill(&mut daemon, folder, contacts)?;
    if now_ms() > due as f64 {
        return Err(io::Error::other("they were due before all were enrolled: try fewer"));
    }
    let mut client = daemon.client();
    let before = shown(&mut client);
    said("before", &before, "later", contacts)?;
    std::thread::sleep(until(due).saturating_sub(Duration::from_secs(2)));
    let run = Run { daemon: &daemon, sink: &sink, contacts, held, due };
    let (rest, peak) = (daemon.memory_mib(), daemon.memory_peak_mib());
    let watched = run.watch(&mut client, watched)?;
    let drained_peak = daemon.memory_peak_mib();
    let (shown_ms, left) = run.settle(&mut client)?;
    let printed = daemon.cli_must(TENANT, &["channel", "get", "hook"]);
    let arrivals = sink.arrivals();
    let checked = run.check(&arrivals);
    daemon.stop();
    let late = |arrival: &Arrival| Duration::from_secs_f64(((arrival.at - due as f64) / 1_000.0).max(0.0));
    let first = arrivals.first().map(late);
    let bars = Bars {
        growth_mib: (watched.memory - rest).max(drained_peak - peak),
        first,
        transactional: watched.transactional,
        reply: watched.reply,
    };
    let first = first.unwrap_or_default();
    eprintln!("{}", printed.lines().filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n"));

    let mut figures = Figures::new("a backlog: all due at the same second, 80 a second");
    figures.count("contacts", "contacts", contacts);
    figures.count("held", "held", held);
    figures.rate("enrolled a second", "enrolls_per_s", contacts, enrolling);
    figures.number("memory before they are due, MiB", "rss_before_mib", rest, 1);
    figures.number("the most while they leave, MiB", "rss_most_mib", watched.memory, 1);
    figures.number("growth, MiB", "growth_mib", watched.memory - rest, 1);
    figures.number("peak before, MiB", "hwm_before_mib", peak, 1);
    figures.number("peak after, MiB", "hwm_after_mib", drained_peak, 1);
    figures.ms("lateness of the first, ms", "first_late_ms", first);
    figures.ms("a transactional one behind them leaves after, ms", "transactional_ms", watched.transactional);
    figures.ms("the last in line replies, answered after, ms", "reply_ms", watched.reply);
    figures.count("left", "left", left);
    figures.count("the most in any second", "most_in_a_second", most_in_a_second(&arrivals));
    figures.cpu("cpu_s_per_1000", left, watched.cpu);
    figures.ms("the daemon says what waits, p50 ms", "shown_p50_ms", quantile(&watched.shown, 500));
    figures.ms(
        "the same, the longest, ms",
        "shown_most_ms",
        watched.shown.last().copied().unwrap_or_default(),
    );
    figures.ms("the same, held and at rest, ms", "shown_at_rest_ms", shown_ms);
    figures.number("the end it tells, off by, %", "end_off_percent", watched.end_off, 2);
    checked?;
    bars.hold(figures)
}

/// Enrolls them, holds the sequence of some and starts the daemon again; how long the enrolling took.
fn fill(daemon: &mut Daemon, folder: &Path, contacts: usize) -> io::Result<Duration> {
    let (held, began) = (contacts / HELD, Instant::now());
    enroll(daemon, folder, "renewal", 0..contacts - held)?;
    enroll(daemon, folder, "welcome", contacts - held..contacts)?;
    let enrolling = began.elapsed();
    let scope = json!({ "tenant": TENANT, "scope": { "sequence": "welcome" }, "reason": "not yet" });
    daemon.client().must("TenantService/Hold", &scope);
    daemon.kill();
    daemon.restart();
    Ok(enrolling)
}

/// What is held to a bar.
struct Bars {
    growth_mib: f64,
    /// None: nothing came.
    first: Option<Duration>,
    /// Zero: it was not asked.
    transactional: Duration,
    /// Zero: it was not asked.
    reply: Duration,
}

impl Bars {
    /// The figures, where nothing is over its bar.
    fn hold(&self, figures: Figures) -> io::Result<Figures> {
        let over = self.over();
        if over.is_empty() {
            return Ok(figures);
        }
        figures.print(false);
        Err(io::Error::other(over.join("; ")))
    }

    /// What is over its bar, or was not seen at all.
    fn over(&self) -> Vec<String> {
        let mut over = Vec::new();
        if self.growth_mib > GROWTH_MIB_MOST {
            over.push(format!("memory grew by {:.1} MiB, more than {GROWTH_MIB_MOST}", self.growth_mib));
        }
        let mut hold = |what: &str, took: Option<Duration>, most: Duration| match took {
            Some(took) if took <= most => {}
            Some(took) => over.push(format!("{what} took {took:?}, more than {most:?}")),
            None => over.push(format!("{what} was not seen: watch longer")),
        };
        hold("the first message", self.first, FIRST_MOST);
        let asked = |took: Duration| Some(took).filter(|took| !took.is_zero());
        hold("the transactional message", asked(self.transactional), TRANSACTIONAL_MOST);
        hold("the reply of the last in line", asked(self.reply), REPLY_MOST);
        over
    }
}

/// What is known of a run.
struct Run<'a> {
    daemon: &'a Daemon,
    sink: &'a Sink,
    contacts: usize,
    held: usize,
    due: i64,
}

/// What was seen while they left.
struct Watched {
    memory: f64,
    transactional: Duration,
    reply: Duration,
    cpu: Duration,
    shown: Vec<Duration>,
    end_off: f64,
}

impl Run<'_> {
    /// Watches the first of them leave.
    fn watch(&self, client: &mut Client, watched: Duration) -> io::Result<Watched> {
        let cpu = self.daemon.cpu();
        let mut seen = Watched {
            memory: self.daemon.memory_mib(),
            transactional: Duration::ZERO,
            reply: Duration::ZERO,
            cpu: Duration::ZERO,
            shown: Vec::new(),
            end_off: 0.0,
        };
        let ends = until(self.due) + watched;
        let began = Instant::now();
        while began.elapsed() < ends {
            std::thread::sleep(Duration::from_millis(500));
            seen.memory = seen.memory.max(self.daemon.memory_mib());
            let left = now_ms() - self.due as f64;
            if seen.transactional.is_zero() && left > 1_000.0 * watched.as_secs_f64() / 4.0 {
                seen.transactional = self.transactional(client)?;
            }
            if seen.reply.is_zero() && left > 1_000.0 * watched.as_secs_f64() / 3.0 {
                seen.reply = self.reply(client)?;
            }
            let (came, asked) = (self.sink.count(), Instant::now());
            let found = shown(client);
            seen.shown.push(asked.elapsed());
            if left > 0.0 {
                self.agrees(&found, came)?;
                seen.end_off = self.end_off(&found)?;
            }
        }
        seen.shown.sort_unstable();
        seen.cpu = self.daemon.cpu().saturating_sub(cpu);
        Ok(seen)
    }

    /// One of a higher class, enrolled behind all of them: how long until it is there.
    fn transactional(&self, client: &mut Client) -> io::Result<Duration> {
        let began = Instant::now();
        let enroll = json!({ "tenant": TENANT, "sequence": "code", "enroll": { "contact": "urgent" } });
        client.must("EnrollmentService/Enroll", &enroll);
        while !self.sink.arrivals().iter().any(|arrival| arrival.word == Some(2)) {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(io::Error::other("the transactional message does not leave"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(began.elapsed())
    }

    /// The last in line replies: how long until it has left.
    fn reply(&self, client: &mut Client) -> io::Result<Duration> {
        let contact = contact(self.contacts - self.held - 1);
        let event = json!({ "source": "inbox", "id": "the-last", "type": "message.received", "contact": contact,
            "text": "Yes, please" });
        let began = Instant::now();
        let answer = client.must("EventService/Send", &json!({ "tenant": TENANT, "event": event }));
        let took = began.elapsed();
        match answer["result"]["exited"].as_array() {
            Some(exited) if exited.len() == 1 => Ok(took),
            _ => Err(io::Error::other(format!("the last in line did not leave: {answer}"))),
        }
    }

    /// What the daemon says is due is what was enrolled without what has left; some are on their way.
    fn agrees(&self, shown: &Value, came: usize) -> io::Result<()> {
        let (due, after) = (number(shown, "due"), self.sink.count());
        // Those under way, the one that replied, the transactional one.
        if due > self.contacts - came + 66 || due + after + 2 < self.contacts {
            return Err(io::Error::other(format!("{due} are said to be due, {came} to {after} have left")));
        }
        Ok(())
    }

    /// By how much of the time that is left the end that is told is off, in percent.
    fn end_off(&self, shown: &Value) -> io::Result<f64> {
        let groups = shown["groups"].as_array().cloned().unwrap_or_default();
        let open = groups.iter().filter(|group| group["waitsFor"].is_null());
        let seconds = open.map(|group| number(group, "due")).sum::<usize>() as f64 / RATE as f64;
        if shown["emptyAt"].is_null() {
            return Err(io::Error::other(format!("no end is told: {shown}")));
        }
        let told = moment(&shown["emptyAt"]) - now_ms() / 1_000.0;
        Ok(100.0 * (told - seconds).abs() / seconds.max(1.0))
    }

    /// Holds the lane, waits until nothing is under way, and looks: how long that took, and how many have left.
    fn settle(&self, client: &mut Client) -> io::Result<(Duration, usize)> {
        let scope = json!({ "tenant": TENANT, "scope": { "channel": "hook" }, "reason": "enough" });
        client.must("TenantService/Hold", &scope);
        let began = Instant::now();
        loop {
            let (asked, left) = (Instant::now(), self.sink.count());
            let found = shown(client);
            let took = asked.elapsed();
            // All but the transactional one; and the one that replied.
            if number(&found, "due") + left == self.contacts {
                return Ok((took, left));
            }
            if began.elapsed() > Duration::from_secs(30) {
                return Err(io::Error::other(format!("{left} have left, and it says {found}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn check(&self, arrivals: &[Arrival]) -> io::Result<()> {
        let of = |word| arrivals.iter().filter(|arrival| arrival.word == Some(word)).count();
        if of(1) > 0 {
            return Err(io::Error::other(format!("{} of the held sequence have left", of(1))));
        }
        if arrivals.first().is_some_and(|arrival| arrival.at < self.due as f64) {
            return Err(io::Error::other("something left before it was due"));
        }
        let most = most_in_a_second(arrivals);
        // The burst, and what the network gathers.
        if most > RATE + 2 * BURST {
            return Err(io::Error::other(format!("{most} came in one second")));
        }
        Ok(())
    }
}

/// The most that came within any second.
fn most_in_a_second(arrivals: &[Arrival]) -> usize {
    let within = |first: &Arrival, from: usize| {
        arrivals[from..].iter().take_while(|arrival| arrival.at < first.at + 1_000.0).count()
    };
    arrivals.iter().enumerate().map(|(from, first)| within(first, from)).max().unwrap_or_default()
}

/// What the daemon says of the lane.
fn shown(client: &mut Client) -> Value {
    let asked = json!({ "tenant": TENANT, "channel": "hook" });
    client.must("TenantService/GetChannel", &asked)["backlog"].clone()
}

fn number(shown: &Value, field: &str) -> usize {
    shown[field].as_u64().unwrap_or_default() as usize
}

fn said(when: &str, shown: &Value, field: &str, expected: usize) -> io::Result<()> {
    if number(shown, field) == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("{when} {expected} should be {field}: {shown}")))
}

/// Seconds since 1970 of an RFC 3339 text in UTC, to the second.
fn moment(text: &Value) -> f64 {
    let text = text.as_str().unwrap_or_default();
    let part =
        |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    // Days of the civil calendar, years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    (days * 86_400 + part(11, 13) * 3_600 + part(14, 16) * 60 + part(17, 19)) as f64
}

/// A whole minute, far enough ahead to enroll so many before it; in milliseconds since 1970.
fn next_minute(contacts: usize) -> i64 {
    let needed = 10_000 + RESTART + (contacts / 6) as i64;
    let earliest = now_ms() as i64 + needed;
    (earliest / 60_000 + 1) * 60_000
}

fn until(due: i64) -> Duration {
    Duration::from_secs_f64(((due as f64 - now_ms()) / 1_000.0).max(0.0))
}

fn contact(number: usize) -> String {
    format!("ct-{number:07}")
}

fn set_up(daemon: &Daemon, folder: &Path, sink: &Sink, due: i64) -> io::Result<()> {
    let file = |name: &str, text: String| -> io::Result<String> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let tenant = file("tenant.yaml", "on: true\ntime_zone: UTC\ncontact_time_zone: true\n".to_owned())?;
    daemon.cli_must(TENANT, &["tenant", "put", TENANT, "-f", &tenant]);
    let channel = format!(
        "kind: webhook\ntransport: http\nrate:\n  count: {RATE}\n  per: 1 second\n  burst: {BURST}\nhttp:\n  \
         url: http://{}/\n  connections: 64\n  secrets:\n    - value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        sink.address
    );
    let channel = file("channel.yaml", channel)?;
    daemon.cli_must(TENANT, &["channel", "put", "hook", "-f", &channel]);
    let minute = due / 60_000 % (24 * 60);
    let at = format!("  - wait: 0 days\n    at: \"{:02}:{:02}\"\n   ", minute / 60, minute % 60);
    let sequences =
        [("renewal", "normal", at.as_str()), ("welcome", "normal", &at), ("code", "transactional", "  -")];
    for ((name, class, wait), word) in sequences.into_iter().zip(WORDS) {
        let text = format!(
            "class: {class}\nsteps:\n{wait} channel: hook\n    body: \"{word} {{{{ contact.id }}}}\"\n"
        );
        let steps = file("sequence.yaml", text)?;
        daemon.cli_must(TENANT, &["sequence", "put", name, "-f", &steps, "--publish"]);
    }
    Ok(())
}

/// Enrolls contacts from a file, over one stream; each in one of the zones.
fn enroll(daemon: &Daemon, folder: &Path, sequence: &str, numbers: std::ops::Range<usize>) -> io::Result<()> {
    let csv = folder.join("backlog.csv");
    let mut file = BufWriter::new(fs::File::create(&csv)?);
    writeln!(file, "contact,time_zone")?;
    for number in numbers {
        writeln!(file, "{},{}", contact(number), ZONES[number % ZONES.len()])?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let csv = csv.display().to_string();
    daemon.cli_must(TENANT, &["enroll", "--sequence", sequence, "--csv", &csv]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_seconds() {
        assert_eq!(moment(&json!("1970-01-02T00:00:01Z")), 86_401.0);
        assert_eq!(moment(&json!("2026-11-23T12:00:00.250Z")), 1_795_435_200.0);
    }
}
