//! Commands of accounts.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::pages::{self, PAGE};
use crate::cli::scope::{held, why, yaml};
use crate::cli::{Shared, files};
use crate::exit::Failure;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Commands of accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account or replace its settings.
    Put {
        /// Its name.
        name: String,
        /// Its settings; `followupd example account` prints some.
        #[arg(long, short, value_name = "YAML")]
        file: PathBuf,
    },
    /// Print what an account counts and which channels belong to it, and its settings, as the file that puts them.
    #[command(visible_alias = "show")]
    Get {
        /// Its name.
        name: String,
    },
    /// The accounts of the tenant.
    List,
}

/// Puts or shows accounts.
pub(crate) async fn run(shared: &Shared, command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Put { name, file } => put(shared, name, files::read(&file)?).await,
        AccountCommand::Get { name } => get(shared, name).await,
        AccountCommand::List => list(shared).await,
    }
}

async fn put(shared: &Shared, name: String, settings: files::Account) -> Result<(), Failure> {
    let server = shared.server()?;
    let settings = v1::AccountSettings::from(settings).into();
    let request = v1::PutAccountRequest { tenant: shared.tenant()?, name, settings, ..Default::default() };
    let put = answer(&server, server.tenants().put_account(request)).await?;
    shared.answer(&put, || format!("account {} · a channel belongs to it with `account: {0}`", put.name))
}

async fn get(shared: &Shared, account: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let request = v1::GetAccountRequest { tenant: shared.tenant()?, account, ..Default::default() };
    let found = answer(&server, server.tenants().get_account(request)).await?;
    let one = found.account.as_option().cloned().unwrap_or_default();
    let settings = one.settings.into_option().unwrap_or_default();
    let counts = counts(one.recipients, settings.new_recipients);
    let (settings, held) = (yaml(&files::Account::from(settings))?, held(one.held.as_option()));
    let channels = if one.channels.is_empty() { "none".to_owned() } else { one.channels.join(", ") };
    shared.answer(&found, || {
        format!(
            "# account {} · revision {}\n{held}# channels: {channels}\n{counts}{settings}",
            one.name, one.revision
        )
    })
}

/// How much of its cap is used, as a line above its settings.
fn counts(recipients: u32, cap: u32) -> String {
    match cap {
        0 => String::new(),
        cap => format!("# new recipients of the last 24 h: {recipients} of {cap}\n"),
    }
}

/// All accounts of a tenant.
pub(crate) async fn all(server: &Server, tenant: &str) -> Result<v1::ListAccountsResponse, Failure> {
    let page = async |page_token| {
        let (tenant, page_size) = (tenant.to_owned(), PAGE);
        let request = v1::ListAccountsRequest { tenant, page_size, page_token, ..Default::default() };
        answer(server, server.tenants().list_accounts(request)).await
    };
    pages::all(page).await
}

async fn list(shared: &Shared) -> Result<(), Failure> {
    let all = all(&shared.server()?, &shared.tenant()?).await?;
    shared.answer(&all, || {
        let (left, right) = (|title| (title, Align::Left), |title| (title, Align::Right));
        let columns = [left("name"), left("channels"), right("new in 24 h"), right("of"), left("held")];
        let mut table = Table::new(&columns);
        for one in &all.accounts {
            let cap = one.settings.as_option().map_or(0, |settings| settings.new_recipients);
            let number = |number: u32| if cap == 0 { String::new() } else { number.to_string() };
            table.row([
                one.name.clone(),
                one.channels.join(", "),
                number(one.recipients),
                number(cap),
                why(one.held.as_option()),
            ]);
        }
        table.to_string()
    })
}
