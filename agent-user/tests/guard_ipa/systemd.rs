//! A private D-Bus with a systemd on it that knows one thing: to restart a unit.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_core::Stream;
use zbus::message::Type;

use zbus::{Connection, MessageStream, ObjectPath};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const JOB: &str = "/org/freedesktop/systemd1/job/1";

/// What restarts the unit.
type Restart = Box<dyn FnMut() + Send>;
type Calls = Arc<Mutex<Vec<(String, String)>>>;

/// Ends with its owner.
pub struct Systemd {
    bus: Child,
    directory: PathBuf,
    calls: Calls,
}

impl Systemd {
    /// Every `RestartUnit` is done by `restart`, and then told as done.
    pub fn start(restart: impl FnMut() + Send + 'static) -> Self {
        let name = format!("guard-ipa-bus-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let socket = directory.join("bus");
        let config = directory.join("bus.conf");
        let text = format!(
            "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/></policy></busconfig>",
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let bus = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "dbus-daemon", "--nofork", "--nopidfile"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        // The file is there before anybody listens.
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "no D-Bus");
            sleep(Duration::from_millis(10));
        }
        let calls = Calls::default();
        let systemd = Self { bus, directory, calls: Arc::clone(&calls) };
        let address = systemd.address();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let served = serve(&address, calls, Box::new(restart), || ready.send(()).unwrap());
            // It ends with the bus, which is no error; one before the test's end is why that fails.
            if let Err(error) = runtime.block_on(served) {
                println!("systemd's stand-in ended: {error}");
            }
        });
        is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
        systemd
    }

    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.directory.join("bus").display())
    }

    /// The unit and the mode of every `RestartUnit`.
    pub fn calls(&self) -> Vec<(String, String)> {
        self.calls.lock().unwrap().clone()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn serve(address: &str, calls: Calls, mut restart: Restart, ready: impl FnOnce()) -> zbus::Result<()> {
    let connection: Connection = zbus::connection::Builder::address(address).name(NAME).build().await?;
    let mut messages = MessageStream::from(&connection);
    ready();
    while let Some(message) = std::future::poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await
    {
        let message = message?;
        let header = message.header();
        if message.message_type() != Type::MethodCall {
            continue;
        }
        match header.member().map(|member| member.as_str()) {
            Some("Subscribe") => connection.reply(&header, &()).await?,
            Some("RestartUnit") => {
                let (unit, mode): (String, String) = message.body().deserialize()?;
                calls.lock().unwrap().push((unit.clone(), mode));
                let job = ObjectPath::try_from(JOB)?;
                connection.reply(&header, &job).await?;
                restart(); // This thread has nothing else to do.
                let body = (1_u32, &job, unit.as_str(), "done");
                connection.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await?;
            }
            other => panic!("systemd was asked for {other:?}"),
        }
    }
    Ok(())
}
