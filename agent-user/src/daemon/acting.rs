//! The mode that the parameters allow.

use std::net::TcpListener;

use crate::guard;
use crate::guard::redirect::Redirect;
use crate::ironic::Client;
use crate::params::{Loaded, Mode, Parameters, Source};
use crate::probes::Unavailable;

use super::DaemonError;

/// The mode that the parameters allow: what others gave never makes the daemon exit.
pub struct Acting {
    pub mode: Mode,
    /// In the modes that speak to Ironic. Without it modes configure and guard do without the read-back.
    pub client: Option<Client>,
    /// The guard's listener, and what leads there.
    pub guard: Option<(TcpListener, Redirect)>,
    /// Why there is no guard.
    pub guard_off: Option<Unavailable>,
    /// Why it is not the wanted mode.
    pub held_back: Option<String>,
}

impl Acting {
    /// Decides, and sets up TLS to Ironic where the mode speaks to it.
    ///
    /// # Errors
    /// Where TLS cannot be set up with the files that the daemon's own layers name.
    pub fn of(loaded: &Loaded) -> Result<Self, DaemonError> {
        let parameters = &loaded.parameters;
        let as_wanted =
            Self { mode: parameters.mode, client: None, guard: None, guard_off: None, held_back: None };
        let observe = |why: String| Self {
            mode: Mode::Observe,
            client: None,
            guard: None,
            guard_off: None,
            held_back: Some(why),
        };
        // Without an API URL and without the operator's host there is nothing to decide.
        let no_url = parameters.ironic.api_urls.is_empty();
        let needs_url = match parameters.mode {
            Mode::Observe => false,
            Mode::Configure => parameters.advertise.host.is_none(),
            Mode::Guard | Mode::Agent => true,
        };
        if no_url && needs_url {
            let problem = loaded.problems.iter().find(|problem| problem.name == "ironic.api-url");
            let why = problem.map_or_else(|| "no API URL was given".to_owned(), ToString::to_string);
            return Ok(observe(why));
        }
        match parameters.mode {
            Mode::Agent => match Client::new(&parameters.ironic) {
                Ok(client) => Ok(Self { client: Some(client), ..as_wanted }),
                Err(error) if tls_is_foreign(loaded) => Ok(observe(error.to_string())),
                Err(error) => Err(error.into()),
            },
            Mode::Guard => {
                let listen = parameters.guard.listen_address;
                let guard = guard::possible(&parameters.guard, &parameters.ironic.api_urls);
                let as_wanted = Self { client: read_back_client(parameters), ..as_wanted };
                Ok(match guard.and_then(|()| guard::redirect::open(listen)) {
                    Ok(guard) => Self { guard: Some(guard), ..as_wanted },
                    Err(off) => Self {
                        mode: Mode::Configure,
                        held_back: Some(off.to_string()),
                        guard_off: Some(off),
                        ..as_wanted
                    },
                })
            }
            Mode::Configure => Ok(Self { client: read_back_client(parameters), ..as_wanted }),
            Mode::Observe => Ok(as_wanted),
        }
    }
}

/// The client of the read-back. Whatever is wrong with TLS to Ironic never stops the mode's duty.
fn read_back_client(parameters: &Parameters) -> Option<Client> {
    if parameters.ironic.api_urls.is_empty() {
        return None;
    }
    let client = Client::new(&parameters.ironic);
    client.inspect_err(|error| tracing::warn!(%error, "read-back of what Ironic holds is off")).ok()
}

/// Whether a file for TLS was named by IPA's own configuration.
fn tls_is_foreign(loaded: &Loaded) -> bool {
    let names = ["ironic.cafile", "ironic.certfile", "ironic.keyfile"];
    let mut entries = names.iter().filter_map(|name| loaded.entry(name));
    entries.any(|entry| entry.source == Source::IpaConfig)
}
