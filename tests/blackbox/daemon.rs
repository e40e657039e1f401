//! The daemon as a process: started on folders of its own, killed, started again; and its command line.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Client, Door};

/// Longest wait for a daemon to take calls: opening replays the journal.
const READY: Duration = Duration::from_secs(60);

/// The daemon's binary: `FOLLOWUPD_BIN`, else the release build of this tree.
///
/// # Panics
/// It is not there.
#[must_use]
pub fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/followupd");
    let binary = std::env::var_os("FOLLOWUPD_BIN").map_or_else(built, PathBuf::from);
    assert!(binary.is_file(), "{} is not there: cargo build --release -p followupd", binary.display());
    binary.canonicalize().unwrap_or(binary)
}

/// A command of the command line.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for variable in [
        "FOLLOWUPD_SERVER",
        "FOLLOWUPD_TENANT",
        "FOLLOWUPD_CONFIG",
        "FOLLOWUPD_LOG",
        "FOLLOWUPD_KEY",
        "FOLLOWUPD_CA",
        "FOLLOWUPD_CERTIFICATE",
        "FOLLOWUPD_CERTIFICATE_KEY",
    ] {
        command.env_remove(variable);
    }
    command
}

/// A command that asks the daemon behind a door.
#[must_use]
pub fn asking(door: &Door) -> Command {
    let mut command = command();
    command.args(["--server", &format!("http://{}", door.address)]).env("FOLLOWUPD_KEY", &door.key);
    command
}

/// A test makes all its calls with one key: how many it gets to make is not to depend on how fast the machine is.
const ONE_KEY: &str = "[limits]\ncalls_per_second_per_key = 1000000\n";

/// What runs a daemon, such as strace; the daemon's own command line follows it.
pub type Wrapper = Vec<String>;

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    folder: PathBuf,
    address: SocketAddr,
    wrapper: Wrapper,
    settings: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts one on a folder that holds its store, outbox and log.
    #[must_use]
    pub fn start(folder: &Path) -> Daemon {
        Daemon::start_under(Vec::new(), folder)
    }

    /// Starts one under another program.
    ///
    /// # Panics
    /// It does not take calls.
    #[must_use]
    pub fn start_under(wrapper: Wrapper, folder: &Path) -> Daemon {
        let mut daemon = Daemon::spawned(wrapper, folder, "");
        daemon.wait_until_ready();
        daemon
    }

    /// Starts one with these settings; it is ready when its log says so, whatever its port speaks. Unless they have
    /// bounds of their own, one key may call as often as it can.
    ///
    /// # Panics
    /// It does not take calls.
    #[must_use]
    pub fn start_with(folder: &Path, settings: &str) -> Daemon {
        let mut daemon = Daemon::spawned(Vec::new(), folder, settings);
        daemon.wait_until_logged("takes calls", 1);
        daemon
    }

    fn spawned(wrapper: Wrapper, folder: &Path, settings: &str) -> Daemon {
        let bounds = if settings.contains("[limits]") { "" } else { ONE_KEY };
        fs::create_dir_all(folder).expect("the folder can be made");
        let path = folder.join("config.toml");
        fs::write(&path, format!("{settings}{bounds}")).expect("the folder can be written");
        let address = free_address();
        let child = spawn(&wrapper, folder, address, &path);
        Daemon { folder: folder.to_path_buf(), address, wrapper, settings: path, child }
    }

    /// Waits until a line with these words was written to the log so many times.
    ///
    /// # Panics
    /// The daemon dies, or it never is.
    pub fn wait_until_logged(&mut self, words: &str, times: usize) {
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            if log.matches(words).count() >= times {
                return;
            }
            let dead = self.child.try_wait().expect("the daemon can be asked for");
            assert!(dead.is_none(), "the daemon has died: {dead:?}\n{log}");
            assert!(began.elapsed() < READY, "{words:?} is not logged {times} times\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it a signal, such as `HUP`.
    ///
    /// # Panics
    /// It is not there.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Kills it as a power cut would, but for the page cache: SIGKILL.
    ///
    /// # Panics
    /// It was dead before.
    pub fn kill(&mut self) {
        let dead = self.child.try_wait().expect("the daemon can be asked for");
        assert!(dead.is_none(), "the daemon has died by itself: {dead:?}; see {}", self.log().display());
        self.child.kill().expect("the daemon can be killed");
        self.child.wait().expect("the daemon can be waited for");
    }

    /// Starts it again on the same folder and port.
    ///
    /// # Panics
    /// It does not take calls.
    pub fn restart(&mut self) {
        self.child = spawn(&self.wrapper, &self.folder, self.address, &self.settings);
        self.wait_until_ready();
    }

    /// Asks it to stop, SIGTERM, and waits for it.
    ///
    /// # Panics
    /// It does not stop with exit code 0.
    pub fn stop(mut self) {
        let pid = self.pid().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(asked.success());
        let status = self.child.wait().expect("the daemon can be waited for");
        assert!(status.success(), "{status}; see {}", self.log().display());
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.door())
    }

    /// The operator's way in. The key is there when the daemon takes calls.
    #[must_use]
    pub fn door(&self) -> Door {
        let key = fs::read_to_string(self.store().join("operator.key")).unwrap_or_default();
        Door { address: self.address, key: key.trim().to_owned() }
    }

    /// The process's id; that of the daemon, not of what it runs under.
    ///
    /// # Panics
    /// What it runs under has no child.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let own = self.child.id();
        if self.wrapper.is_empty() {
            return own;
        }
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        first.expect("what the daemon runs under has a child")
    }

    /// Its Maildir.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// Its store's folder.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Runs a command of the command line against it.
    ///
    /// # Panics
    /// It cannot be run.
    #[must_use]
    pub fn cli(&self, tenant: &str, arguments: &[&str]) -> Output {
        let mut command = asking(&self.door());
        command.args(["--tenant", tenant]).args(arguments);
        command.output().expect("the command line runs")
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    /// It does not.
    pub fn cli_must(&self, tenant: &str, arguments: &[&str]) -> String {
        let output = self.cli(tenant, arguments);
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {} {says}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Puts a tenant, a channel `mail` and a published sequence, each from a file, as a person would.
    pub fn put(&self, tenant: &str, sequence: &str, files: &Files<'_>) {
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            fs::write(&path, text).expect("the folder can be written");
            path.display().to_string()
        };
        let (tenant_file, channel) = (file("tenant.yaml", files.tenant), file("channel.yaml", files.channel));
        let draft = file("sequence.yaml", files.sequence);
        self.cli_must(tenant, &["tenant", "put", tenant, "-f", &tenant_file]);
        self.cli_must(tenant, &["channel", "put", "mail", "-f", &channel]);
        self.cli_must(tenant, &["sequence", "put", sequence, "-f", &draft, "--publish"]);
    }

    /// The processor time it has taken so far, its own and the system's for it.
    ///
    /// # Panics
    /// The kernel does not say.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("/proc can be read");
        // Behind the name, which may have blanks: proc(5), fields 14 and 15, in ticks of which Linux has 100 a second.
        let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// The most memory it has had so far, in MiB (`VmHWM`).
    ///
    /// # Panics
    /// The kernel does not say.
    #[must_use]
    pub fn memory_peak_mib(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// The memory it has, in MiB (`VmRSS`).
    ///
    /// # Panics
    /// The kernel does not say.
    #[must_use]
    pub fn memory_mib(&self) -> f64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, which: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc can be read");
        let line = status.lines().find_map(|line| line.strip_prefix(which));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
        kib.map(|kib: f64| kib / 1_024.0).expect("the kernel says what memory there is")
    }

    /// Ends the process whatever it does; nothing where it has ended.
    fn end(&mut self) {
        if !self.wrapper.is_empty() && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // What it runs under would leave it behind.
            let _ = Command::new("kill").args(["-KILL", &self.pid().to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait_until_ready(&mut self) {
        let (began, mut client) = (Instant::now(), self.client());
        while !client.is_ready() {
            let dead = self.child.try_wait().expect("the daemon can be asked for");
            let says = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(dead.is_none(), "the daemon does not start: {dead:?}\n{}", says());
            assert!(began.elapsed() < READY, "the daemon takes no calls\n{}", says());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Settings files of a test.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// Its channel.
    pub channel: &'a str,
    /// Its sequence.
    pub sequence: &'a str,
}

fn spawn(wrapper: &Wrapper, folder: &Path, address: SocketAddr, settings: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("daemon.log"));
    let mut command = match wrapper.split_first() {
        None => command(),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary());
            command
        }
    };
    command.args(["serve", "--listen", &address.to_string()]).arg("--config").arg(settings);
    command.arg("--store").arg(folder.join("store")).arg("--outbox").arg(folder.join("outbox"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("the log can be written"));
    command.spawn().expect("the daemon can be run")
}

/// An address that nobody listened on a moment ago, and that no outgoing connection takes meanwhile: Linux gives these
/// ports from 32,768 on (`ip_local_port_range`).
///
/// # Panics
/// None is free.
#[must_use]
pub fn free_address() -> SocketAddr {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let (first, ports) = (12_000, 20_000);
    let address = (0..ports).find_map(|_| {
        let at = std::process::id().wrapping_mul(61).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(first + at % ports).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?.local_addr().ok()
    });
    address.expect("a port is free")
}
