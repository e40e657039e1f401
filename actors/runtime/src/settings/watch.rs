//! What a channel's settings say of its sends in doubt, and of what holds it when it fares badly; and looking after that.

use followupd_domain::ChannelNo;
use followupd_domain::channel::{Channel, InDoubt, Kind, Preset};
use followupd_domain::lane::Lane;
use followupd_domain::limits::{IN_A_ROW, KILL_SWITCHES, SIGNALS_OF};
use followupd_domain::name::not_one_of;
use followupd_domain::signal::{Counts, Hour, KillSwitch, Run, Signal};
use followupd_store::{Key, Scan};

use super::Faults;
use crate::api::{ChannelSettings, Error, KillSwitchSettings};
use crate::limits;
use crate::loaded::Loaded;
use crate::node::Node;

pub(super) fn in_doubt(word: &str) -> Result<Option<InDoubt>, String> {
    let known = InDoubt::ALL.into_iter().find(|policy| policy.word() == word);
    match known {
        None if !word.is_empty() => Err(not_one_of(word, &InDoubt::ALL.map(InDoubt::word))),
        known => Ok(known),
    }
}

/// The kill switches that are given, else those of the preset.
pub(super) fn kill_switches(
    settings: &ChannelSettings,
    kind: Option<Kind>,
    faults: &mut Faults,
) -> Vec<KillSwitch> {
    let Some(given) = &settings.kill_switches else {
        let preset = Preset::parse(&settings.preset).filter(|preset| Some(preset.serves()) == kind);
        return preset.map(Preset::kill_switches).unwrap_or_default();
    };
    if given.len() > KILL_SWITCHES {
        let problem = format!("has {}: at most {KILL_SWITCHES} are allowed", given.len());
        faults.take("kill_switches", Err::<(), _>(problem));
    }
    let read = given.iter().enumerate().map(|(i, given)| {
        let field = |name: &str| format!("kill_switches[{i}].{name}");
        let signal = faults.take(&field("signal"), signal(&given.signal).map(Some));
        let (percent, after) = match signal {
            Some(Signal::FailedInARow) => (no_percent(given.percent), in_a_row(given.after)),
            _ => (percent(given.percent), after(given.after)),
        };
        KillSwitch {
            signal: signal.unwrap_or(Signal::Failed),
            percent: faults.take(&field("percent"), percent),
            after: faults.take(&field("after"), after),
            report_only: given.report_only,
        }
    });
    read.collect()
}

fn signal(word: &str) -> Result<Signal, String> {
    let known = KillSwitch::SIGNALS.into_iter().find(|signal| signal.word() == word);
    known.ok_or_else(|| not_one_of(word, &KillSwitch::SIGNALS.map(Signal::word)))
}

fn percent(given: u32) -> Result<u8, String> {
    let read = u8::try_from(given).ok().filter(|percent| (1..=99).contains(percent));
    read.ok_or_else(|| format!("is {given}: give 1 to 99"))
}

fn no_percent(given: u32) -> Result<u8, String> {
    if given == 0 { Ok(0) } else { Err("is no part of failed_in_a_row: leave it out".to_owned()) }
}

fn in_a_row(given: u32) -> Result<u32, String> {
    let is_some = usize::try_from(given).is_ok_and(|given| (1..=IN_A_ROW).contains(&given));
    if is_some {
        Ok(given)
    } else {
        Err(format!("is {given}: give 1 to {IN_A_ROW} failures in a row, such as 5"))
    }
}

fn after(given: u32) -> Result<u32, String> {
    if given > 0 {
        Ok(given)
    } else {
        Err("is 0: give the sends it needs to say something, such as 50".to_owned())
    }
}

/// A channel's kill switches, as they can be put again.
pub(crate) fn shown(channel: &Channel) -> Vec<KillSwitchSettings> {
    let shown = channel.kill_switches.iter().map(|switch| KillSwitchSettings {
        signal: switch.signal.word().to_owned(),
        percent: u32::from(switch.percent),
        after: switch.after,
        report_only: switch.report_only,
    });
    shown.collect()
}

/// From now on a channel's switches look at what is counted from now on: a person has seen the rest.
pub(super) async fn begin_anew(node: &Node, loaded: &Loaded, channel: &mut Channel) -> Result<(), Error> {
    channel.watched_from = node.now();
    channel.counted_before = rows(node, loaded, channel.no, Hour::of(node.now() - SIGNALS_OF)).await?;
    Ok(())
}

/// What a channel's counters say of its sends since a person looked at it last.
pub(crate) async fn counts(node: &Node, loaded: &Loaded, channel: &Channel) -> Result<Counts, Error> {
    // Not from the hour of that look on alone: the clock may have been set back since.
    let counts = rows(node, loaded, channel.no, Hour::of(node.now() - SIGNALS_OF)).await?;
    Ok(counts.without(&channel.counted_before))
}

/// A channel's counters from an hour on.
async fn rows(node: &Node, loaded: &Loaded, channel: ChannelNo, from: Hour) -> Result<Counts, Error> {
    let lane = Lane { tenant: loaded.scope.tenant.no, channel };
    let to = Key::signals(loaded.shard, lane).after_prefix();
    let from = Key::signal(loaded.shard, lane, from, Signal::ALL[0]);
    let rows = node.store.scan(Scan { from, to, limit: limits::SIGNAL_ROWS }).await?;
    let counts = rows.into_iter().filter_map(|(key, row)| {
        let (hour, signal) = key.to_signal()?;
        Some((hour, signal, i64::from_le_bytes(row.body.as_ref().try_into().ok()?)))
    });
    Ok(Counts(counts.collect()))
}

/// The switches of a channel that trip now, where so many of its sends failed in a row, each with why.
pub(crate) async fn tripped(
    node: &Node,
    loaded: &Loaded,
    channel: &Channel,
    run: Run,
) -> Result<Vec<(KillSwitch, String)>, Error> {
    if channel.kill_switches.is_empty() {
        return Ok(Vec::new());
    }
    let (counts, now) = (counts(node, loaded, channel).await?, node.now());
    let in_a_row = run.since(channel.watched_from);
    let trips = |switch: &KillSwitch| Some((*switch, switch.trips(&counts, in_a_row, now)?));
    Ok(channel.kill_switches.iter().filter_map(trips).collect())
}
