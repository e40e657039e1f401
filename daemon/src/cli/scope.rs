//! Commands that look at tenants and channels, and at what is held.

use serde::Serialize;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::pages::{self, PAGE};
use crate::cli::{Shared, backlog, files, time};
use crate::exit::Failure;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Prints one tenant: its settings as the file that puts them.
pub(crate) async fn tenant(shared: &Shared, tenant: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let request = v1::GetTenantRequest { tenant, ..Default::default() };
    let found = answer(&server, server.tenants().get_tenant(request)).await?;
    let one = found.tenant.as_option().cloned().unwrap_or_default();
    let settings = yaml(&files::Tenant::from(one.settings.into_option().unwrap_or_default()))?;
    let held = held(one.held.as_option());
    shared.answer(&found, || format!("# tenant {} · revision {}\n{held}{settings}", one.name, one.revision))
}

/// All tenants there are for a key.
pub(crate) async fn all_tenants(server: &Server) -> Result<v1::ListTenantsResponse, Failure> {
    let page = async |page_token| {
        let request = v1::ListTenantsRequest { page_size: PAGE, page_token, ..Default::default() };
        answer(server, server.tenants().list_tenants(request)).await
    };
    pages::all(page).await
}

/// Prints the tenants there are for this key.
pub(crate) async fn tenants(shared: &Shared) -> Result<(), Failure> {
    let all = all_tenants(&shared.server()?).await?;
    shared.answer(&all, || {
        let left = |title| (title, Align::Left);
        let columns = [left("name"), left("on"), left("time zone"), ("revision", Align::Right), left("held")];
        let mut table = Table::new(&columns);
        for one in &all.tenants {
            let settings = one.settings.as_option().cloned().unwrap_or_default();
            table.row([
                one.name.clone(),
                if settings.on { "on".to_owned() } else { "off".to_owned() },
                settings.time_zone,
                one.revision.to_string(),
                why(one.held.as_option()),
            ]);
        }
        table.to_string()
    })
}

/// Prints one channel: what waits to leave by it, and its settings as the file that puts them, but for what is secret of
/// them.
pub(crate) async fn channel(shared: &Shared, channel: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let request = v1::GetChannelRequest { tenant: shared.tenant()?, channel, ..Default::default() };
    let found = answer(&server, server.tenants().get_channel(request)).await?;
    let one = found.channel.as_option().cloned().unwrap_or_default();
    let settings = yaml(&files::Channel::from(one.settings.into_option().unwrap_or_default()))?;
    let held = held(one.held.as_option());
    let default = if one.is_default { " · default of its kind" } else { "" };
    let fares = one.fares.as_option().map(fares).unwrap_or_default();
    shared.answer(&found, || {
        let backlog = backlog::lines(found.backlog.as_option());
        format!(
            "# channel {} · revision {}{default}\n{held}{backlog}{fares}{settings}",
            one.name, one.revision
        )
    })
}

/// How a channel's sends fare, as lines above its settings; nothing of one that has sent nothing.
fn fares(fares: &v1::Fares) -> String {
    let uncertain = match fares.uncertain {
        0 => String::new(),
        count => {
            format!("# {count} of the last 7 days uncertain: `enrollment list --send-status uncertain`\n")
        }
    };
    if fares.sent == 0 {
        return uncertain;
    }
    let of = [
        ("failed", fares.failed),
        ("delivered", fares.delivered),
        ("replied", fares.replied),
        ("opted out", fares.opted_out),
    ];
    let of = of.map(|(word, count)| format!("{count} {word} ({} %)", count * 100 / fares.sent));
    let mut text =
        format!("# of the last 7 days, or since its release: {} sent, {}\n", fares.sent, of.join(", "));
    for tripped in &fares.tripped {
        let does = if tripped.report_only { "would trip" } else { "trips" };
        text.push_str(&format!("# a kill switch {does}: {}\n", tripped.why));
    }
    text + &uncertain
}

/// All channels of a tenant.
pub(crate) async fn all_channels(server: &Server, tenant: &str) -> Result<v1::ListChannelsResponse, Failure> {
    let page = async |page_token| {
        let (tenant, page_size) = (tenant.to_owned(), PAGE);
        let request = v1::ListChannelsRequest { tenant, page_size, page_token, ..Default::default() };
        answer(server, server.tenants().list_channels(request)).await
    };
    pages::all(page).await
}

/// Prints the channels of a tenant.
pub(crate) async fn channels(shared: &Shared) -> Result<(), Failure> {
    let all = all_channels(&shared.server()?, &shared.tenant()?).await?;
    shared.answer(&all, || {
        let left = |title| (title, Align::Left);
        let right = |title| (title, Align::Right);
        let columns = [
            left("name"),
            left("kind"),
            left("transport"),
            left("rate"),
            left("gap"),
            right("a minute"),
            right("an hour"),
            right("a day"),
            left("default"),
            left("held"),
        ];
        let mut table = Table::new(&columns);
        let cap = |cap: u32| if cap == 0 { String::new() } else { cap.to_string() };
        for one in &all.channels {
            let settings = one.settings.as_option().cloned().unwrap_or_default();
            let rate = settings.rate.as_option().map(|rate| format!("{} per {}", rate.count, rate.per));
            table.row([
                one.name.clone(),
                settings.kind,
                settings.transport,
                rate.unwrap_or_default(),
                settings.gap,
                cap(settings.per_minute),
                cap(settings.per_hour),
                cap(settings.per_day),
                if one.is_default { "yes".to_owned() } else { String::new() },
                why(one.held.as_option()),
            ]);
        }
        table.to_string()
    })
}

/// Prints what is held.
pub(crate) async fn holds(shared: &Shared) -> Result<(), Failure> {
    use v1::__buffa::oneof::scope::Scope;
    let server = shared.server()?;
    let request = v1::ListHoldsRequest { tenant: shared.tenant()?, ..Default::default() };
    let found = answer(&server, server.tenants().list_holds(request)).await?;
    let all = found.all_sending.as_option();
    let off = is_off(&server, shared.tenant()?).await?;
    if found.holds.is_empty() && all.is_none() && !off && !shared.json {
        eprintln!("nothing is held");
        return Ok(());
    }
    shared.answer(&found, || {
        let left = |title| (title, Align::Left);
        let columns = ["held", "since (UTC)", "until (UTC)", "by", "why"];
        let mut table = Table::new(&columns.map(left));
        if let Some(held) = all.cloned() {
            let since = time::utc(held.since.as_option());
            table.row(["all sending".to_owned(), since, RELEASED.to_owned(), held.by, held.reason]);
        }
        if off {
            let [since, by] = [const { String::new() }; 2];
            let why = "`on: true` in its settings lets it send".to_owned();
            table.row(["the whole tenant (off)".to_owned(), since, "switched on".to_owned(), by, why]);
        }
        for one in &found.holds {
            let scope = match one.scope.as_option().and_then(|scope| scope.scope.as_ref()) {
                Some(Scope::Account(name)) => format!("account {name}"),
                Some(Scope::Channel(name)) => format!("channel {name}"),
                Some(Scope::Sequence(name)) if one.step > 0 => {
                    format!("sequence {name}, step {} of version {}", one.step, one.version)
                }
                Some(Scope::Sequence(name)) => format!("sequence {name}"),
                Some(Scope::WholeTenant(_)) | None => "the whole tenant".to_owned(),
            };
            let held = one.held.as_option().cloned().unwrap_or_default();
            let until = held.until.as_option().map(|until| time::utc(Some(until)));
            let until = until.unwrap_or_else(|| RELEASED.to_owned());
            table.row([scope, time::utc(held.since.as_option()), until, held.by, held.reason]);
        }
        table.to_string()
    })
}

/// Whether a tenant is off, which holds all of it as well.
async fn is_off(server: &Server, tenant: String) -> Result<bool, Failure> {
    let request = v1::GetTenantRequest { tenant, ..Default::default() };
    let found = answer(server, server.tenants().get_tenant(request)).await?;
    let settings = found.tenant.as_option().and_then(|tenant| tenant.settings.as_option());
    Ok(settings.is_some_and(|settings| !settings.on))
}

/// Until when what ends by itself never does.
const RELEASED: &str = "released";

/// What holds something, as a line above its settings; nothing where it is not held.
pub(crate) fn held(held: Option<&v1::Held>) -> String {
    held.map(|held| format!("# held {}\n", since(held))).unwrap_or_default()
}

pub(crate) fn why(held: Option<&v1::Held>) -> String {
    held.map(since).unwrap_or_default()
}

fn since(held: &v1::Held) -> String {
    let why = if held.reason.is_empty() { String::new() } else { format!(": {}", held.reason) };
    let until = held.until.as_option().map(|until| format!(" until {} UTC", time::utc(Some(until))));
    let until = until.unwrap_or_default();
    format!("since {} UTC{until} by {}{why}", time::utc(held.since.as_option()), held.by)
}

/// Settings as the text of the file that puts them.
pub(crate) fn yaml(settings: &impl Serialize) -> Result<String, Failure> {
    serde_norway::to_string(settings)
        .map_err(|error| Failure::other(format!("the settings cannot be written as YAML: {error}")))
}
