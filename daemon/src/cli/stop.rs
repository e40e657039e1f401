//! `stop-sending` and `resume-sending`: of everything, or of one tenant, account, channel or sequence.

use clap::Args;
use serde::Serialize;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::scope::all_tenants;
use crate::cli::{Shared, put};
use crate::exit::Failure;
use crate::table::{Align, Table, thousands};
use followupd_proto::v1;

/// What is stopped.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct StopOption {
    /// All tenants; needs a key for all of them.
    #[arg(long)]
    all: bool,
    /// The whole tenant.
    #[arg(long)]
    whole_tenant: bool,
    /// One account, with all its channels.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// One channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// One sequence.
    #[arg(long, value_name = "NAME")]
    sequence: Option<String>,
}

impl StopOption {
    /// What of one tenant it is; all of it where all tenants are meant.
    fn of_tenant(&self) -> put::ScopeOption {
        put::ScopeOption::new(self.account.clone(), self.channel.clone(), self.sequence.clone())
    }
}

/// Stops sending.
pub(crate) async fn stop(shared: &Shared, scope: StopOption, reason: String) -> Result<(), Failure> {
    if !scope.all {
        return put::hold(shared, scope.of_tenant(), reason).await;
    }
    let server = shared.server()?;
    let request = v1::StopSendingRequest { reason, ..Default::default() };
    let stopped = answer(&server, server.tenants().stop_sending(request)).await?;
    shared.answer(&stopped, || {
        "all sending is stopped: `followupd resume-sending --all` shows what waits".to_owned()
    })
}

/// Shows what would go out, and lets it go where that is said.
pub(crate) async fn resume(shared: &Shared, scope: StopOption, yes: bool) -> Result<(), Failure> {
    let server = shared.server()?;
    if yes && scope.all {
        let request = v1::ResumeSendingRequest::default();
        let resumed = answer(&server, server.tenants().resume_sending(request)).await?;
        let goes_on = if resumed.changed { "sending goes on" } else { "sending was not stopped" };
        return shared.answer(&resumed, || goes_on.to_owned());
    }
    if yes {
        return put::release(shared, scope.of_tenant()).await;
    }
    let tenants = match scope.all {
        true => all_tenants(&server).await?.tenants.into_iter().map(|tenant| tenant.name).collect(),
        false => vec![shared.tenant()?],
    };
    let mut all = Vec::new();
    for tenant in tenants {
        let lanes = forecast(&server, &tenant, &scope).await?.lanes;
        all.push(OfTenant { tenant, lanes });
    }
    let text = || format!("{}\nnothing was changed: --yes lets it go on", table(&all));
    match &all[..] {
        [one] if !scope.all => shared.answer(&one.lanes, text),
        all => shared.answer(&all, text),
    }
}

/// What is due of one tenant.
#[derive(Serialize)]
struct OfTenant {
    tenant: String,
    lanes: Vec<v1::LaneForecast>,
}

async fn forecast(
    server: &Server,
    tenant: &str,
    scope: &StopOption,
) -> Result<v1::PreviewReleaseResponse, Failure> {
    let scope = scope.of_tenant().message().into();
    let request = v1::PreviewReleaseRequest { tenant: tenant.to_owned(), scope, ..Default::default() };
    answer(server, server.tenants().preview_release(request)).await
}

fn table(all: &[OfTenant]) -> Table {
    let left = |title| (title, Align::Left);
    let right = |title| (title, Align::Right);
    let columns = [
        left("tenant"),
        left("channel"),
        right("due"),
        right("looked at"),
        right("go out"),
        right("skipped"),
        right("end"),
        right("wait on"),
        right("spread over"),
    ];
    let mut table = Table::new(&columns);
    let lanes = all.iter().flat_map(|one| one.lanes.iter().map(|lane| (&one.tenant, lane)));
    for (tenant, lane) in lanes {
        let some = |count: u32| if count == 0 { String::new() } else { thousands(count.into()) };
        let minutes = lane.takes.as_option().map_or(0, |takes| takes.seconds / 60);
        table.row([
            tenant.clone(),
            lane.channel.clone(),
            format!("{}{}", thousands(lane.due.into()), if lane.more { "+" } else { "" }),
            some(lane.looked_at),
            some(lane.sent),
            some(lane.skipped),
            some(lane.ended),
            some(lane.waiting),
            format!("{minutes} min"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_shows_what_is_due_and_what_becomes_of_it() {
        let lane = v1::LaneForecast {
            channel: "mail".into(),
            due: 100_000,
            more: true,
            looked_at: 500,
            sent: 490,
            skipped: 10,
            ..Default::default()
        };
        let all = [OfTenant { tenant: "acme".to_owned(), lanes: vec![lane] }];
        let text = table(&all).to_string();
        assert!(
            text.contains("acme    mail     100,000+        500     490       10        0 min"),
            "{text}"
        );
        let json = serde_json::to_value(&all[..]).unwrap();
        assert_eq!((&json[0]["tenant"], &json[0]["lanes"][0]["channel"]), (&"acme".into(), &"mail".into()));
    }
}
