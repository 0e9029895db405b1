//! The real Ironic with one node that is only played: what the daemon's promises are tested against.
//!
//! It runs as one process pair with sqlite, without a message bus and without credentials, on loopback or inside a
//! network namespace, and leaves neither a process nor a file behind, however its owner ends.

mod config;
mod install;
mod node;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use install::{Installation, OLDER_IN_CI, OLDER_VERSIONS, VERSION};

use crate::cache;
use crate::guardian::{Guardian, fresh_directory};
use crate::http::Http;
use crate::netns::Netns;

/// The newest API version that the testbed itself asks for.
pub const API_VERSION: &str = "1.80";
/// The name of the header with the API version.
pub const VERSION_HEADER: &str = "X-OpenStack-Ironic-API-Version";
/// How long Ironic may take to answer after its start; on an idle machine it takes three seconds.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// What kind of Ironic, where.
#[derive(Clone, Debug)]
pub struct Options {
    /// [`VERSION`], or one of [`OLDER_VERSIONS`].
    pub version: String,
    /// The address that its API listens on.
    pub bind: IpAddr,
    /// The port of its API; 0 for any free one.
    pub port: u16,
    /// Ironic's `[deploy]fast_track`: true accepts lookups and heartbeats of a `manageable` node and never commands the
    /// agent; false is the real flow, see [`RealIronic::clean_wait`].
    pub fast_track: bool,
    /// Ironic's `[agent]require_tls`: whether callback URLs must begin with `https://`.
    pub require_tls: bool,
    /// What it answers to a lookup as `heartbeat_timeout`, in seconds.
    pub heartbeat_timeout: u32,
    /// The MAC addresses of the node's ports.
    pub macs: Vec<String>,
    /// The UUID of the node.
    pub node_uuid: String,
    /// Whom its API answers.
    pub auth: Auth,
    /// How often it compares the power of its nodes, in seconds; that clears `last_error`.
    pub power_sync: u32,
    /// The namespace to run in; `None` runs it in ours, and needs no root.
    pub netns: Option<Arc<Netns>>,
}

/// Whom the API answers; the ramdisk's part of it answers everybody.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Everybody.
    #[default]
    Nobody,
    /// Users with a password.
    HttpBasic {
        /// The user.
        user: String,
        /// Its password.
        password: String,
    },
    /// Those with a token of a Keystone.
    Keystone {
        /// Its URL, with `/v3`.
        url: String,
        /// The password of its user `admin`.
        password: String,
        /// A token that sees all nodes, with which the testbed itself asks.
        token: String,
    },
}

impl Default for Options {
    /// Ironic's own defaults (require_tls since 26.0.0) on 127.0.0.1:6385, but fast track and a short heartbeat.
    fn default() -> Self {
        Self {
            version: VERSION.to_owned(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 6385,
            fast_track: true,
            require_tls: true,
            heartbeat_timeout: 30,
            macs: vec!["52:54:00:aa:00:01".to_owned()],
            node_uuid: "11111111-1111-4111-8111-111111111111".to_owned(),
            auth: Auth::Nobody,
            power_sync: 60,
            netns: None,
        }
    }
}

/// A running Ironic with its node enrolled, manageable and powered on.
#[derive(Debug)]
pub struct RealIronic {
    guardian: Guardian,
    directory: PathBuf,
    address: SocketAddr,
    http: Http,
    node_uuid: String,
    auth: Auth,
    options: Options,
    installation: Installation,
}

impl RealIronic {
    /// Installs Ironic into the [cache] unless it is there: 40 s and 320 MB. `progress` gets a line for each step.
    ///
    /// # Errors
    /// Without Python 3.11 or without PyPI; the error says what was run and what it said.
    pub fn install(version: &str, progress: &mut dyn FnMut(&str)) -> io::Result<Installation> {
        install::install(version, progress)
    }

    /// Starts one and enrolls the node; installs it first where it is missing, telling stderr. Takes about four
    /// seconds; one starts at a time on a machine.
    ///
    /// # Errors
    /// Where it cannot be installed, the port is taken, or it does not come up; the error holds the end of its log.
    pub fn start(options: &Options) -> io::Result<Self> {
        let installation = Self::install(&options.version, &mut |line| eprintln!("ironic: {line}"))?;
        let _lock = cache::lock("ironic-start")?;
        let port = free_port(options)?;
        let directory = fresh_directory("ironic")?;
        let address = SocketAddr::new(options.bind, port);
        let ironic = Self {
            guardian: spawn(&installation, options, port, &directory, &installation.database())?,
            directory,
            address,
            http: match &options.netns {
                Some(netns) => Http::inside(netns, address),
                None => Http::new(address),
            },
            node_uuid: options.node_uuid.clone(),
            auth: options.auth.clone(),
            options: options.clone(),
            installation,
        };
        ironic.wait_until_it_answers()?;
        ironic.enroll(&options.node_uuid, &options.macs)?;
        Ok(ironic)
    }

    /// Kills it, leaves it away for so long, and starts it again on the same port with the same database.
    ///
    /// # Errors
    /// Where it does not come up again.
    pub fn restart(&mut self, away: Duration) -> io::Result<()> {
        let directory = fresh_directory("ironic")?;
        let database = directory.join("before.sqlite");
        fs::copy(self.database(), &database)?;
        self.guardian.kill();
        std::thread::sleep(away);
        let port = self.address.port();
        self.guardian = spawn(&self.installation, &self.options, port, &directory, &database)?;
        self.directory = directory;
        self.wait_until_it_answers()
    }

    /// The base URL of its API, without a slash at the end.
    pub fn url(&self) -> String {
        url(self.address.ip(), self.address.port())
    }

    /// The UUID of its node.
    pub fn node_uuid(&self) -> &str {
        &self.node_uuid
    }

    /// Asks its API, from its own namespace.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The exit code of Ironic, if it ended by itself: nothing asked of it does that.
    pub fn ended(&self) -> Option<i32> {
        self.guardian.ended()
    }

    /// Its database (sqlite).
    pub fn database(&self) -> PathBuf {
        self.directory.join("ironic.sqlite")
    }

    /// Its log file.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("ironic.log")
    }

    /// The last lines of its log and of what it wrote besides.
    pub fn log_tail(&self, lines: usize) -> String {
        let tail = |name| self.guardian.tail(name, lines);
        format!("{}{}", tail("output"), tail("ironic.log"))
    }

    fn wait_until_it_answers(&self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            if let Some(code) = self.ended() {
                let log = self.log_tail(20);
                return Err(io::Error::other(format!(
                    "Ironic ended at its start with exit code {code}:\n{log}"
                )));
            }
            match self.http.get("/", &[]) {
                Ok(answer) if answer.status == 200 => return Ok(()),
                answer if start.elapsed() > START_TIMEOUT => {
                    let said = answer.map_or_else(|e| e.to_string(), |a| format!("status {}", a.status));
                    let (seconds, log) = (START_TIMEOUT.as_secs(), self.log_tail(20));
                    return Err(io::Error::other(format!(
                        "Ironic did not answer within {seconds} s ({said}):\n{log}"
                    )));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for RealIronic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of Ironic's log:\n{}", self.log_tail(40));
        }
    }
}

fn url(address: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(address, port))
}

/// The port that was asked for, or a free one; a taken one is an error here, because the stranger on it would answer us. The
/// last of the processes of an Ironic that was just killed may still hold it for a moment.
fn free_port(options: &Options) -> io::Result<u16> {
    let address = SocketAddr::new(options.bind, options.port);
    let bind = || TcpListener::bind(address)?.local_addr();
    let began = Instant::now();
    loop {
        let bound = match &options.netns {
            Some(netns) => netns.enter(bind)?,
            None => bind(),
        };
        match bound {
            Ok(address) => return Ok(address.port()),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < Duration::from_secs(10) =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("Ironic cannot listen on {address}: {error}"),
                ));
            }
        }
    }
}

fn spawn(
    installation: &Installation,
    options: &Options,
    port: u16,
    directory: &Path,
    database: &Path,
) -> io::Result<Guardian> {
    for name in ["state", "http", "certificates"] {
        fs::create_dir(directory.join(name))?;
    }
    let file = directory.join("ironic.conf");
    fs::write(&file, config::text(options, port, directory))?;
    if let Auth::HttpBasic { user, password } = &options.auth {
        config::write_user(installation, &directory.join("htpasswd"), user, password)?;
    }
    fs::copy(database, directory.join("ironic.sqlite"))?;
    let output = fs::File::create(directory.join("output"))?;
    let program = [installation.ironic(), PathBuf::from("--config-file"), file];
    Guardian::spawn(options.netns.as_deref(), directory, output, &program)
}
