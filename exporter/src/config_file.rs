//! The configuration file while the daemon runs: read again with every connection and every request, as the exporter
//! toolkit does it. What has not changed is not parsed again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use text::printable;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::{Clients, ConfigError, WebConfig};
use crate::files::read_file;
use crate::tls::Pems;

/// The file is not usable.
#[derive(Debug, Error)]
pub enum WebConfigError {
    /// The file itself.
    #[error("--web.config.file: {path} cannot be read: {error}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// What stands in it, or in a file that it names.
    #[error("{path}:{line}: {problem}")]
    Wrong {
        /// Its path.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file in the middle of a rewrite, empty or cut, must not open the door.
    #[error("{path} no longer asks for {what}: that is taken back by a restart only")]
    Weaker {
        /// Its path.
        path: String,
        /// TLS, client certificates or a password.
        what: &'static str,
    },
}

/// What a new connection gets.
#[derive(Debug)]
pub(crate) enum Transport {
    /// HTTP.
    Plain,
    /// TLS first.
    Tls(Arc<ServerConfig>),
    /// Nothing: TLS is asked for and not usable now.
    Refused,
}

/// The file, and what was made of it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    text: Zeroizing<Vec<u8>>,
    config: Arc<WebConfig>,
    tls: Option<(Pems, Arc<ServerConfig>)>,
    /// The error that was logged last.
    logged: Option<String>,
}

impl ConfigFile {
    /// Reads the file and all that it names. A relative path in it begins at its directory.
    ///
    /// # Errors
    /// Where TLS or passwords are not usable as the file says.
    pub fn open(path: PathBuf) -> Result<Self, WebConfigError> {
        let file = Self { path, state: Mutex::default() };
        file.check()?;
        Ok(file)
    }

    /// Whether all is readable and right at this moment, and with the privileges of this moment.
    ///
    /// # Errors
    /// As [`ConfigFile::open`].
    pub fn check(&self) -> Result<(), WebConfigError> {
        self.tls(&mut self.lock()).map(drop)
    }

    /// What a new connection gets. An error is logged once.
    pub(crate) fn transport(&self) -> Transport {
        let mut state = self.lock();
        match self.tls(&mut state) {
            Ok(tls) => {
                if state.logged.take().is_some() {
                    tracing::info!(file = ?self.path, "the web configuration is usable again");
                }
                tls.map_or(Transport::Plain, Transport::Tls)
            }
            Err(error) => {
                state.log(&error);
                // Without TLS it is the requests that are refused.
                if state.config.tls.is_some() { Transport::Refused } else { Transport::Plain }
            }
        }
    }

    /// What a request has to look at; `None` where the file is not usable now, which is logged.
    pub(crate) fn config(&self) -> Option<Arc<WebConfig>> {
        let mut state = self.lock();
        match self.refresh(&mut state) {
            Ok(()) => Some(Arc::clone(&state.config)),
            Err(error) => {
                state.log(&error);
                None
            }
        }
    }

    fn refresh(&self, state: &mut State) -> Result<(), WebConfigError> {
        let path = || printable(&self.path.to_string_lossy());
        let read = read_file(&self.path);
        let text = Zeroizing::new(read.map_err(|error| WebConfigError::Unreadable { path: path(), error })?);
        if text == state.text {
            return Ok(());
        }
        let words = std::str::from_utf8(&text);
        let words = words.map_err(|_| ConfigError { line: 1, problem: "no UTF-8".to_owned() });
        let config = words.and_then(WebConfig::parse).map_err(|error| self.wrong(error))?;
        if let Some(what) = no_longer_asked(&state.config, &config) {
            return Err(WebConfigError::Weaker { path: path(), what });
        }
        (state.text, state.config, state.tls) = (text, Arc::new(config), None);
        Ok(())
    }

    fn tls(&self, state: &mut State) -> Result<Option<Arc<ServerConfig>>, WebConfigError> {
        self.refresh(state)?;
        let Some(settings) = &state.config.tls else {
            return Ok(None);
        };
        let directory = self.path.parent().unwrap_or(Path::new(""));
        let pems = Pems::read(settings, directory).map_err(|error| self.wrong(error))?;
        let made = match state.tls.take() {
            Some((old, made)) if old == pems => made,
            _ => Arc::new(pems.server_config(settings).map_err(|error| self.wrong(error))?),
        };
        state.tls = Some((pems, Arc::clone(&made)));
        Ok(Some(made))
    }

    fn wrong(&self, ConfigError { line, problem }: ConfigError) -> WebConfigError {
        WebConfigError::Wrong { path: printable(&self.path.to_string_lossy()), line, problem }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A task that panicked while it held the lock left at worst an old configuration, which is read again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the old configuration asks for and the new one does not.
fn no_longer_asked(old: &WebConfig, new: &WebConfig) -> Option<&'static str> {
    let certificates = |config: &WebConfig| match config.tls.as_ref().map(|tls| &tls.clients) {
        Some(Clients::MustProve { names, .. }) if !names.is_empty() => 2,
        Some(Clients::MustProve { .. }) => 1,
        _ => 0,
    };
    match () {
        () if old.tls.is_some() && new.tls.is_none() => Some("TLS"),
        () if certificates(old) > certificates(new) => Some("the same client certificates"),
        () if !old.users.is_empty() && new.users.is_empty() => Some("a password"),
        () => None,
    }
}

impl State {
    fn log(&mut self, error: &WebConfigError) {
        let words = error.to_string();
        if self.logged.as_ref() != Some(&words) {
            tracing::error!("the web server refuses every request until this is corrected: {words}");
            self.logged = Some(words);
        }
    }
}
