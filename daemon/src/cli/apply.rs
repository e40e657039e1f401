//! `diff` and `apply`: a tenant against the folder that describes it, and the puts that make it so.
//!
//! What a put would make of a file only the daemon knows, so it is asked: defaults come from there, and secrets are
//! compared there.

use std::io::IsTerminal;
use std::path::Path;

use buffa::Message;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::folder::{self, Described, SEQUENCE};
use crate::cli::scope::{all_channels, yaml};
use crate::cli::sequence::all_sequences;
use crate::cli::{Shared, account, files, json, print};
use crate::exit::{Code, Failure};
use crate::limits;
use crate::table::count;
use followupd_proto::v1;
use followupd_proto::v1::__buffa::oneof::wanted::Settings;

/// How a tenant stands to its folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether there is nothing to put.
    equal: bool,
    files: Vec<File>,
    /// What the tenant has and the folder does not name.
    left_alone: Vec<String>,
}

/// How one file stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    file: String,
    /// `new`, `changed`, `unpublished` or `unchanged`; `refused`: it cannot be put.
    change: String,
    /// The lines that differ, in the form of `diff`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
    /// What is to be known besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// What putting it would be refused for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

/// Shows how a tenant stands to its folder.
///
/// # Errors
/// The folder or what it says is wrong; or something differs, which has a code of its own.
pub(crate) async fn diff(shared: &Shared, folder: &Path) -> Result<(), Failure> {
    let (tenant, described) = (shared.tenant()?, folder::read(folder)?);
    let server = shared.server()?;
    let compared = compare(&server, &tenant, &described).await?;
    let report = report(&server, &tenant, &described, &compared).await?;
    show(shared, &report)?;
    refused(&described, &compared)?;
    match report.equal {
        true => Ok(()),
        false => {
            let says = format!("{}: `followupd apply` puts them", summary(&report));
            Err(Failure::new(Code::Differs, says))
        }
    }
}

/// Puts what differs, and publishes sequences.
///
/// # Errors
/// The folder or what it says is wrong, and nothing was put; or the daemon refused a put, and what was put before it
/// stays.
pub(crate) async fn apply(shared: &Shared, folder: &Path) -> Result<(), Failure> {
    let (tenant, described) = (shared.tenant()?, folder::read(folder)?);
    let server = shared.server()?;
    let compared = compare(&server, &tenant, &described).await?;
    let report = report(&server, &tenant, &described, &compared).await?;
    show(shared, &report)?;
    refused(&described, &compared)?;
    let mut done = 0;
    let mut revision = 0;
    for Step { file, wanted, mut found, again } in steps(&described, &compared) {
        if again {
            found.revision = revision;
        }
        let put = put(&server, &tenant, &wanted, &found).await.map_err(|failure| {
            let put = count(done, "file was", "files were");
            let says = format!("{file}: {failure}\n           {put} put before it: mend it, and apply again");
            Failure { says, ..failure }
        })?;
        let (says, now) = put;
        if matches!(wanted.settings, Some(Settings::Tenant(_))) {
            revision = now;
        }
        eprintln!("{file}: {says}");
        done += 1;
    }
    match done {
        0 => eprintln!("{tenant} is as {} says", folder.display()),
        _ => eprintln!("{} put: {tenant} is as {} says", count(done, "file", "files"), folder.display()),
    }
    Ok(())
}

/// One put on the way.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    file: String,
    wanted: v1::Wanted,
    /// How it was compared, with the revision that it is to have.
    found: v1::Compared,
    /// Whether it was put before on this way: it has another revision by then.
    again: bool,
}

/// The puts that make the tenant so, in their order. One that chooses a channel as a default which only comes by this is
/// put without it first, and whole when its channels are there.
fn steps(described: &[Described], compared: &[v1::Compared]) -> Vec<Step> {
    let differs = described.iter().zip(compared).filter(|(_, found)| found.change != "unchanged");
    let step = |(one, found): (&Described, &v1::Compared)| Step {
        file: one.file.clone(),
        wanted: one.wanted.clone(),
        found: found.clone(),
        again: false,
    };
    let mut steps: Vec<Step> = differs.map(step).collect();
    let is_new = |step: &Step| {
        matches!(step.wanted.settings, Some(Settings::Channel(_))) && step.found.change == "new"
    };
    let new: Vec<String> =
        steps.iter().filter(|step| is_new(step)).map(|step| step.wanted.name.clone()).collect();
    let Some(first) = steps.first_mut() else { return steps };
    let whole = first.clone();
    let Some(Settings::Tenant(settings)) = &mut first.wanted.settings else { return steps };
    let before = settings.default_channels.len();
    settings.default_channels.retain(|_, name| !new.contains(name));
    if settings.default_channels.len() < before {
        let at = steps.iter().rposition(is_new).map_or(steps.len(), |last| last + 1);
        steps.insert(at, Step { again: true, ..whole });
    }
    steps
}

/// Asks how each file stands; the tenant, its accounts and channels come along with every few sequences.
async fn compare(
    server: &Server,
    tenant: &str,
    described: &[Described],
) -> Result<Vec<v1::Compared>, Failure> {
    let (ground, mut rest) = described.split_at(described.partition_point(|one| one.rank() < SEQUENCE));
    let mut compared = Vec::new();
    loop {
        let (now, later) = rest.split_at(together(rest));
        let wanted: Vec<v1::Wanted> = ground.iter().chain(now).map(|one| one.wanted.clone()).collect();
        let asked = wanted.len();
        let request = v1::CompareRequest { tenant: tenant.to_owned(), wanted, ..Default::default() };
        let found = answer(server, server.settings().compare(request)).await?.compared;
        if found.len() != asked {
            return Err(Failure::other("the daemon compared another number of files than it was asked to"));
        }
        let known = if compared.is_empty() { 0 } else { ground.len() };
        compared.extend(found.into_iter().skip(known));
        rest = later;
        if rest.is_empty() {
            return Ok(compared);
        }
    }
}

/// How many of these are compared at once; one that is larger than all of them may be goes alone.
fn together(rest: &[Described]) -> usize {
    let mut bytes = 0;
    let fits = |one: &&Described| {
        bytes += one.wanted.encoded_len() as usize;
        bytes <= limits::COMPARED_BYTES
    };
    rest.iter().take_while(fits).count().max(1).min(rest.len())
}

/// The faults of the first kind of file that has any: what builds on a faulty channel would only repeat them.
fn refused(described: &[Described], compared: &[v1::Compared]) -> Result<(), Failure> {
    let faulty = || described.iter().zip(compared).filter(|(_, found)| !found.faults.is_empty());
    let Some(first) = faulty().map(|(one, _)| one.rank()).min() else { return Ok(()) };
    let lines = faulty().filter(|(one, _)| one.rank() == first).flat_map(|(one, found)| {
        found.faults.iter().map(|fault| format!("{}: {}: {}", one.file, fault.field, fault.problem))
    });
    Err(Failure::new(Code::Refused, lines.collect::<Vec<_>>().join("\n           ")))
}

async fn report(
    server: &Server,
    tenant: &str,
    described: &[Described],
    compared: &[v1::Compared],
) -> Result<Report, Failure> {
    let files = described.iter().zip(compared).map(|(one, found)| file(one, found));
    let files = files.collect::<Result<Vec<File>, Failure>>()?;
    let equal = files.iter().all(|file| file.change == "unchanged");
    // A tenant that is not there has nothing.
    let there = compared.first().is_some_and(|tenant| tenant.revision > 0);
    let left_alone = if there { left_alone(server, tenant, described).await? } else { Vec::new() };
    Ok(Report { equal, files, left_alone })
}

/// What the tenant has and the folder does not name; what is archived is over.
async fn left_alone(server: &Server, tenant: &str, described: &[Described]) -> Result<Vec<String>, Failure> {
    let accounts = account::all(server, tenant).await?.accounts.into_iter().map(|one| one.name);
    let channels = all_channels(server, tenant).await?.channels.into_iter().map(|one| one.name);
    let sequences = all_sequences(server, tenant, "").await?.sequences.into_iter();
    let sequences = sequences.filter(|one| one.status != "archived").map(|one| one.name);
    let there = accounts.map(|name| ("accounts", "account", name));
    let there = there.chain(channels.map(|name| ("channels", "channel", name)));
    let there = there.chain(sequences.map(|name| ("sequences", "sequence", name)));
    let left = there.filter(|(folder, _, name)| {
        let file = format!("{folder}/{name}.yaml");
        described.iter().all(|one| one.file != file)
    });
    Ok(left.map(|(_, noun, name)| format!("{noun} {name}")).collect())
}

fn file(one: &Described, found: &v1::Compared) -> Result<File, Failure> {
    let change = if found.faults.is_empty() { found.change.as_str() } else { "refused" };
    let mut notes: Vec<String> =
        found.other_secrets.iter().map(|field| format!("{field} has another value")).collect();
    if found.other_draft && change == "unchanged" {
        notes.push("a draft that says something else is there, and stays unpublished".to_owned());
    } else if found.other_draft {
        notes.push("the unpublished draft that is there is replaced".to_owned());
    }
    if change == "unpublished" {
        notes.push("the draft that is there says the same: it is published".to_owned());
    }
    let lines = match (found.now.as_option(), found.then.as_option()) {
        (Some(now), Some(then)) if change == "changed" || change == "unpublished" => {
            lines(&text(now)?, &text(then)?)
        }
        _ => Vec::new(),
    };
    let faults = found.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect();
    Ok(File { file: one.file.clone(), change: change.to_owned(), lines, notes, faults })
}

/// Settings as the text of their file, with every default.
fn text(settings: &v1::Wanted) -> Result<String, Failure> {
    match settings.settings.clone() {
        Some(Settings::Tenant(settings)) => yaml(&files::Tenant::from(*settings)),
        Some(Settings::Account(settings)) => yaml(&files::Account::from(*settings)),
        Some(Settings::Channel(settings)) => yaml(&files::Channel::from(*settings)),
        Some(Settings::Sequence(draft)) => yaml(&files::Sequence::from(*draft)),
        None => Ok(String::new()),
    }
}

/// The lines that differ, each with its sign, with some around them.
fn lines(now: &str, then: &str) -> Vec<String> {
    const AROUND: usize = 2;
    let diff = TextDiff::from_lines(now, then);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if at > 0 {
            lines.push("…".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            lines.push(format!("{sign} {}", change.value().trim_end_matches('\n')));
        }
    }
    lines
}

/// Prints a report; in colours where somebody looks.
fn show(shared: &Shared, report: &Report) -> Result<(), Failure> {
    if shared.json {
        return print(&json(report)?);
    }
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&shown(report, colours))
}

fn shown(report: &Report, colours: bool) -> String {
    let paint = |code: &str, text: &str| match colours {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let width = report.files.iter().map(|file| file.file.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for file in &report.files {
        text.push_str(&format!("{:<width$}  {}\n", file.file, file.change));
        for line in &file.lines {
            let line = match line.chars().next() {
                Some('-') => paint("31", line),
                Some('+') => paint("32", line),
                _ => line.clone(),
            };
            text.push_str(&format!("    {}\n", line.trim_end()));
        }
        file.notes.iter().for_each(|note| text.push_str(&format!("    ({note})\n")));
    }
    if !report.left_alone.is_empty() {
        text.push_str(&format!("not in the folder, left alone: {}\n", report.left_alone.join(", ")));
    }
    text
}

/// How many files stand how, such as `1 new, 1 changed (of 3 files)`.
fn summary(report: &Report) -> String {
    let of = |change: &str| report.files.iter().filter(|file| file.change == change).count();
    let counts = ["new", "changed", "unpublished"].map(|change| (of(change), change));
    let counts =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, change)| format!("{count} {change}"));
    let files = count(report.files.len() as u64, "file", "files");
    format!("{} (of {files})", counts.collect::<Vec<_>>().join(", "))
}

/// Puts one file as it was compared: what somebody else changed meanwhile is not replaced. What was done, and the
/// revision that it has now.
async fn put(
    server: &Server,
    tenant: &str,
    wanted: &v1::Wanted,
    found: &v1::Compared,
) -> Result<(String, u64), Failure> {
    let (expected_revision, only_new) = (found.revision, found.revision == 0);
    let (tenant, name) = (tenant.to_owned(), wanted.name.clone());
    match wanted.settings.clone() {
        Some(Settings::Tenant(settings)) => {
            let settings = (*settings).into();
            let request = v1::PutTenantRequest {
                name: tenant,
                settings,
                expected_revision,
                only_new,
                ..Default::default()
            };
            let put = answer(server, server.tenants().put_tenant(request)).await?;
            Ok(("put".to_owned(), put.revision))
        }
        Some(Settings::Account(settings)) => {
            let settings = (*settings).into();
            let request = v1::PutAccountRequest {
                tenant,
                name,
                settings,
                expected_revision,
                only_new,
                ..Default::default()
            };
            let put = answer(server, server.tenants().put_account(request)).await?;
            Ok(("put".to_owned(), put.revision))
        }
        Some(Settings::Channel(settings)) => {
            let settings = (*settings).into();
            let request = v1::PutChannelRequest {
                tenant,
                name,
                settings,
                expected_revision,
                only_new,
                ..Default::default()
            };
            let put = answer(server, server.tenants().put_channel(request)).await?;
            Ok(("put".to_owned(), put.revision))
        }
        Some(Settings::Sequence(draft)) => put_sequence(server, tenant, name, *draft, found).await,
        None => Ok((String::new(), 0)),
    }
}

/// Puts a draft, where it is not there yet, and publishes it.
async fn put_sequence(
    server: &Server,
    tenant: String,
    name: String,
    draft: v1::Draft,
    found: &v1::Compared,
) -> Result<(String, u64), Failure> {
    let mut revision = found.revision;
    if found.change != "unpublished" {
        let request = v1::PutSequenceRequest {
            tenant: tenant.clone(),
            name: name.clone(),
            sequence: draft.into(),
            expected_revision: revision,
            only_new: revision == 0,
            ..Default::default()
        };
        revision = answer(server, server.sequences().put_sequence(request)).await?.revision;
    }
    let request =
        v1::PublishRequest { tenant, sequence: name, expected_revision: revision, ..Default::default() };
    let published = answer(server, server.sequences().publish(request)).await?;
    let put = if found.change == "unpublished" { "" } else { "put, " };
    Ok((format!("{put}version {} published", published.version), published.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(change: &str, lines: Vec<String>) -> File {
        let (notes, faults) = (Vec::new(), Vec::new());
        File { file: format!("{change}.yaml"), change: change.to_owned(), lines, notes, faults }
    }

    #[test]
    fn sequences_are_compared_few_at_a_time_by_their_size() {
        let sequence = |bytes: usize| {
            let step = v1::Step { body: "x".repeat(bytes), ..Default::default() };
            let draft = v1::Draft { steps: vec![step], ..Default::default() };
            let settings = Some(Settings::Sequence(draft.into()));
            let wanted = v1::Wanted { settings, ..Default::default() };
            Described { file: "sequences/a.yaml".into(), wanted }
        };
        let half = limits::COMPARED_BYTES / 2 - 100;
        let (small, large) = (sequence(half), sequence(limits::COMPARED_BYTES + 1));
        assert_eq!(together(&[]), 0);
        assert_eq!(together(&[small.clone(), small.clone(), small.clone()]), 2);
        assert_eq!(together(&[small.clone(), large.clone()]), 1);
        assert_eq!(together(&[large, small]), 1, "one that is too large goes alone");
    }

    #[test]
    fn a_tenant_whose_default_channel_is_new_is_put_once_more_when_the_channel_is_there() {
        let described = |file: &str, name: &str, settings| {
            let wanted = v1::Wanted { name: name.into(), settings: Some(settings), ..Default::default() };
            Described { file: file.into(), wanted }
        };
        let tenant = |defaults: &[(&str, &str)]| {
            let defaults = defaults.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned()));
            let settings = v1::TenantSettings { default_channels: defaults.collect(), ..Default::default() };
            described("tenant.yaml", "", Settings::Tenant(settings.into()))
        };
        let channel = |name: &str| {
            described(
                &format!("channels/{name}.yaml"),
                name,
                Settings::Channel(v1::ChannelSettings::default().into()),
            )
        };
        let found =
            |change: &str, revision| v1::Compared { change: change.into(), revision, ..Default::default() };
        let sequence = described("sequences/a.yaml", "a", Settings::Sequence(v1::Draft::default().into()));
        let folder =
            [tenant(&[("email", "mail"), ("sms", "short")]), channel("mail"), channel("short"), sequence];
        let compared = [found("changed", 7), found("changed", 5), found("new", 0), found("new", 0)];
        let done = steps(&folder, &compared);
        let order: Vec<(&str, bool)> = done.iter().map(|step| (step.file.as_str(), step.again)).collect();
        let (mail, short) = ("channels/mail.yaml", "channels/short.yaml");
        let tenant_yaml = "tenant.yaml";
        assert_eq!(
            order,
            [
                (tenant_yaml, false),
                (mail, false),
                (short, false),
                (tenant_yaml, true),
                ("sequences/a.yaml", false)
            ]
        );
        assert_eq!(done[0].wanted, tenant(&[("email", "mail")]).wanted);
        assert_eq!(done[3].wanted, folder[0].wanted);
        let compared = [found("changed", 7), found("changed", 5), found("unchanged", 9), found("new", 0)];
        assert_eq!(steps(&folder, &compared).len(), 3, "what is there needs no second put");
    }

    #[test]
    fn lines_that_differ_stand_with_some_around_them() {
        let now = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\ng: 7\nh: 8\ni: 9\n";
        let then = now.replace("b: 2", "b: 3").replace("i: 9\n", "");
        let found = lines(now, &then);
        assert_eq!(
            found,
            ["  a: 1", "- b: 2", "+ b: 3", "  c: 3", "  d: 4", "…", "  g: 7", "  h: 8", "- i: 9"]
        );
        assert!(lines(now, now).is_empty());
    }

    #[test]
    fn files_line_up_and_colours_are_for_terminals() {
        let mut changed = one("changed", vec!["- a: 1".into(), "+ a: 2".into()]);
        changed.notes.push("smtp.password has another value".into());
        let files = vec![one("unchanged", Vec::new()), changed, one("new", Vec::new())];
        let report = Report { equal: false, files, left_alone: vec!["channel old".into()] };
        let plain = shown(&report, false);
        assert_eq!(
            plain,
            "unchanged.yaml  unchanged\nchanged.yaml    changed\n    - a: 1\n    + a: 2\n    \
             (smtp.password has another value)\nnew.yaml        new\nnot in the folder, left alone: channel old\n"
        );
        assert!(shown(&report, true).contains("\x1b[31m- a: 1\x1b[0m"));
        assert_eq!(summary(&report), "1 new, 1 changed (of 3 files)");
    }
}
