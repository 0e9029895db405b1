//! The probes are loaded beside the start, which takes some hundredths of a second. The thread that does it keeps the
//! privileges of the start until it is done; the others have none.

use callback_url::Scheme;
use tokio::sync::oneshot;

use crate::params::{Mode, Parameters, ProbeChoice};
use crate::probes::{Probes, Reason, Unavailable, privileges};
use crate::sight::tls::{self, Tls};

/// The thread.
pub struct Loader {
    loaded: oneshot::Receiver<Loaded>,
    /// What came from there, until it is taken.
    arrived: Option<Loaded>,
    is_required: bool,
    is_waited_for: bool,
    port: u16,
}

/// What it has loaded.
pub struct Loaded {
    pub probes: Probes,
    pub tls: (Tls, tls::Report),
    /// What the parameters ask for and this machine does not have.
    pub problems: Vec<String>,
}

impl Loader {
    /// Begins; call it while the privileges are there. `in_container`: IPA's unit runs it in one.
    pub fn begin(mode: Mode, parameters: &Parameters, in_container: bool) -> Self {
        let (done, loaded) = oneshot::channel();
        let is_required = parameters.probe_connect == ProbeChoice::On;
        let is_https = parameters.ironic.api_urls.iter().any(|url| url.scheme == Scheme::Https);
        let is_waited_for = is_required || (is_https && mode != Mode::Agent);
        let port = parameters.advertise.port;
        let waited_for = in_container.then_some(parameters.advertise.wait);
        let parameters = parameters.clone();
        let work = move || {
            let mut probes = Probes::attach(&parameters);
            let tls = match mode {
                Mode::Agent => Tls::without(&Unavailable::new(
                    Reason::SwitchedOff,
                    "mode agent only records what it sends itself",
                )),
                _ => Tls::attach(&mut probes, waited_for),
            };
            let problems = if is_required { probes.report().lacking() } else { Vec::new() };
            // An error: the daemon has ended meanwhile.
            let _ = done.send(Loaded { probes, tls, problems });
        };
        // Where no thread starts, `done` finds out.
        let _ = std::thread::Builder::new().spawn(work);
        Self { loaded, arrived: None, is_required, is_waited_for, port }
    }

    /// Whether READY waits for it: the parameters ask for the probes, or IPA's lookup can only be seen at libssl.
    pub fn is_waited_for(&self) -> bool {
        self.is_waited_for
    }

    /// What was loaded, once; not to be asked again after that. The privileges of its thread are gone then, or the log says
    /// which thread keeps some. Nothing is lost where this is dropped before its end.
    pub async fn done(&mut self) -> Option<Loaded> {
        if self.arrived.is_none() {
            self.arrived = Some((&mut self.loaded).await.unwrap_or_else(|_| self.failed()));
        }
        let keeps = self.arrived.as_ref().and_then(|loaded| loaded.tls.0.privileged_thread());
        match privileges::none_left(keeps).await {
            Ok(()) => tracing::debug!("no thread has a capability"),
            Err(error) => tracing::error!(%error, "could not drop privileges; continuing with them"),
        }
        self.arrived.take()
    }

    fn failed(&self) -> Loaded {
        let why = Unavailable::new(Reason::Error, "no thread could load the probes");
        let probes = Probes::without(&why, self.port);
        let problems = if self.is_required { probes.report().lacking() } else { Vec::new() };
        Loaded { tls: Tls::without(&why), probes, problems }
    }
}
