//! Ways out, opened and refused.

use followupd_domain::Moment;
use followupd_domain::channel::{Http, Kind};
use followupd_domain::holds::Holds;
use followupd_domain::ledger::Limits;
use followupd_domain::name::Name;
use followupd_domain::signal::Counts;

use super::*;
use crate::outbox::Outbox;
use crate::resolve::System;
use crate::seal::KEY_BYTES;
use crate::tls::testing;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TENANT: TenantNo = TenantNo(3);

fn transports(folder: &tempfile::TempDir) -> Transports {
    let rules = Rules { helo: "[127.0.0.1]".into(), ..Rules::default() };
    let seal = Seal::new(&[7; KEY_BYTES]).unwrap();
    let outside = Outside { trust: testing::trust(), resolver: Arc::new(System::default()), seal, rules };
    Transports::new(Arc::new(Outbox::open(folder.path()).unwrap()), outside)
}

fn channel(no: u32, transport: channel::Transport) -> Channel {
    Channel {
        no: ChannelNo(no),
        name: Name::parse("hook").unwrap(),
        kind: Kind::Webhook,
        transport,
        limits: Limits::default(),
        ignores_quiet_hours: true,
        holds: Holds::default(),
        reacted: None,
        in_doubt: None,
        kill_switches: Vec::new(),
        watched_from: Moment(0),
        counted_before: Counts::default(),
        account: None,
    }
}

fn http(url: &str, secret: SecretAt) -> channel::Transport {
    channel::Transport::Http(Box::new(Http { url: url.into(), secrets: vec![secret], connections: 2 }))
}

fn fields(opened: Result<Arc<dyn Transport>, Vec<Problem>>) -> Vec<&'static str> {
    opened.err().unwrap().into_iter().map(|problem| problem.field).collect()
}

#[tokio::test]
async fn a_way_is_kept_while_its_settings_stay_and_opened_anew_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let transports = transports(&folder);
    let sealed = transports.seal(TENANT, ChannelNo(1), &Secret::new(SECRET)).unwrap();
    let one = channel(1, http("https://hooks.example.com/", sealed.clone()));
    let way = transports.of(TENANT, &one).unwrap();
    assert!(Arc::ptr_eq(&way, &transports.of(TENANT, &one).unwrap()));
    let other = channel(1, http("https://hooks.example.com/other", sealed));
    assert!(!Arc::ptr_eq(&way, &transports.of(TENANT, &other).unwrap()));
}

#[tokio::test]
async fn a_secret_of_another_channel_or_tenant_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let transports = transports(&folder);
    let sealed = transports.seal(TENANT, ChannelNo(1), &Secret::new(SECRET)).unwrap();
    let stolen = http("https://evil.example.com/", sealed);
    assert_eq!(fields(transports.of(TENANT, &channel(2, stolen.clone()))), ["secrets"]);
    assert_eq!(fields(transports.of(TenantNo(4), &channel(1, stolen))), ["secrets"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_is_named_and_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let transports = transports(&folder);
    let path = folder.path().join("secret");
    let path_text = path.to_str().unwrap().to_owned();
    let one = channel(1, http("https://hooks.example.com/", SecretAt::File(path_text.clone())));
    let problems = transports.of(TENANT, &one).err().unwrap();
    assert!(problems[0].right.contains(&path_text), "{problems:?}");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    assert!(transports.of(TENANT, &one).is_err(), "not at each send");
    tokio::time::advance(limits::REOPEN_AFTER).await;
    assert!(transports.of(TENANT, &one).is_ok());
}

#[tokio::test]
async fn a_folder_or_a_large_file_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let transports = transports(&folder);
    let large = folder.path().join("large");
    fs::write(&large, vec![b'x'; 100_000]).unwrap();
    for path in [folder.path(), &large, std::path::Path::new("/dev/zero")] {
        let at = SecretAt::File(path.to_str().unwrap().to_owned());
        assert_eq!(fields(transports.of(TENANT, &channel(1, http("https://a.example/", at)))), ["secrets"]);
    }
}

#[tokio::test]
async fn without_an_outside_only_the_outbox_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let transports = Transports::only(Arc::new(Outbox::open(folder.path()).unwrap()));
    assert!(transports.of(TENANT, &channel(1, channel::Transport::Outbox)).is_ok());
    let hook = channel(1, http("https://a.example/", SecretAt::Env("HOOK".into())));
    assert_eq!(fields(transports.of(TENANT, &hook)), ["transport"]);
}
