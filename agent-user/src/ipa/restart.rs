//! Restarts IPA's unit over systemd's D-Bus (org.freedesktop.systemd1(5)).

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use thiserror::Error;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath};

const DESTINATION: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// systemd gives a unit 90 s to stop (`DefaultTimeoutStopSec`) and as long to start.
const PATIENCE: Duration = Duration::from_secs(200);

/// Why the unit was not restarted.
#[derive(Debug, Error)]
pub enum RestartError {
    /// D-Bus, or systemd's own refusal.
    #[error("{0}")]
    Bus(#[from] zbus::Error),
    /// systemd tried, and it ended so (`failed`, `timeout`, ...).
    #[error("systemd's job ended with {0:?}")]
    Job(String),
    /// The bus went away.
    #[error("D-Bus ended the connection before systemd's job had ended")]
    Closed,
    /// No end of the job in time.
    #[error("systemd did not finish within {} s", PATIENCE.as_secs())]
    Late,
}

/// Restarts a unit and waits until systemd has done so.
///
/// # Errors
/// Where systemd cannot be asked, or the unit did not come up.
pub async fn restart_unit(unit: &str) -> Result<(), RestartError> {
    timeout(PATIENCE, restart(unit)).await.unwrap_or(Err(RestartError::Late))
}

async fn restart(unit: &str) -> Result<(), RestartError> {
    let bus = Connection::system().await?;
    // Listening before asking: the job may end at once.
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .interface(INTERFACE)
        .member("JobRemoved")
        .path(PATH)
        .build()?;
    let mut signals = MessageStream::for_match_rule(rule, &bus, NonZeroUsize::new(64)).await?;
    bus.call_method(Some(DESTINATION), PATH, Some(INTERFACE), "Subscribe", &()).await?;
    let reply =
        bus.call_method(Some(DESTINATION), PATH, Some(INTERFACE), "RestartUnit", &(unit, "replace")).await?;
    let job: OwnedObjectPath = reply.body().deserialize()?;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut signals).poll_next(context)).await;
        let Some(signal) = next else {
            return Err(RestartError::Closed);
        };
        let (_id, removed, _unit, result): (u32, OwnedObjectPath, String, String) =
            signal?.body().deserialize()?;
        if removed == job {
            return if result == "done" { Ok(()) } else { Err(RestartError::Job(result)) };
        }
    }
}
