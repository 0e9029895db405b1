//! The kinds of parameters: how the text is read, and which field of [`Parameters`] takes the value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api_client::ApiVersion;
use callback_url::{ApiUrl, Host, Scheme};
use serde_json::Value;
use text::{MASK, Secret};

use super::types::{Parameters, RestartUnit};
use super::value::{self, Wanted};

/// The field that takes the value.
type Field<T> = fn(&mut Parameters) -> &mut T;

/// How a value is read and where it goes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `--name`, or `--name=true|false`.
    Boolean(Field<bool>),
    /// 1 to 65535.
    Port(Field<u16>),
    /// At least 1.
    Count(Field<u32>),
    /// Not shorter than the first.
    Duration(Duration, Field<Duration>),
    /// A file or directory that is always named.
    Path(Field<PathBuf>),
    /// A file that need not be named.
    OptionalPath(Field<Option<PathBuf>>),
    /// Text that keeps a rule.
    Text(fn(&str) -> Result<String, Wanted>, Field<Option<String>>),
    /// The host to advertise, which need not be given. The API URLs are read before it.
    AdvertiseHost(Field<Option<Host>>),
    /// An address or name.
    Host(Field<Host>),
    /// A comma list.
    ApiUrls(Field<Vec<ApiUrl>>),
    /// Where reports go.
    ReportUrl(Field<Option<ApiUrl>>),
    /// Address and port.
    ListenAddress(Field<Option<SocketAddr>>),
    /// Address and port on the loopback.
    LoopbackAddress(Field<SocketAddr>),
    /// Like 1.72, or auto.
    ApiVersion(Field<Option<ApiVersion>>),
    /// http or https.
    Protocol(Field<Scheme>),
    /// One of the names; the function takes the name's place in the list.
    Choice(&'static [&'static str], fn(&mut Parameters, usize) -> Option<()>),
    /// auto, off, or the name of a systemd service.
    RestartUnit(Field<RestartUnit>),
    /// A filter of log lines.
    LogFilter(Field<String>),
    /// A value that is never shown.
    Token(Field<Option<Secret>>),
}

/// A value, or an item of a list, that is unusable.
pub(super) struct Rejected {
    /// As it stood there, not yet fit to be shown.
    pub(super) text: String,
    /// What would be right.
    pub(super) wanted: Wanted,
}

/// What came of reading a value.
pub(super) struct Reading {
    /// The value as `params --json` shows it, after it was stored; `None` where nothing usable was there.
    pub(super) value: Option<Value>,
    /// What was passed over.
    pub(super) rejected: Vec<Rejected>,
}

impl Kind {
    /// Reads the text and stores the value. Nothing is stored where nothing is usable.
    pub(super) fn read(self, text: &str, foreign: bool, parameters: &mut Parameters) -> Reading {
        if let Self::ApiUrls(field) = self {
            return read_urls(text, field(parameters));
        }
        match self.read_one(text.trim(), foreign, parameters) {
            Ok(value) => Reading { value: Some(value), rejected: Vec::new() },
            Err(wanted) => {
                Reading { value: None, rejected: vec![Rejected { text: text.to_owned(), wanted }] }
            }
        }
    }

    fn read_one(self, text: &str, foreign: bool, parameters: &mut Parameters) -> Result<Value, Wanted> {
        Ok(match self {
            Self::Boolean(field) => store(field(parameters), value::boolean(text)?, |v| Value::from(*v)),
            Self::Port(field) => store(field(parameters), value::port(text)?, |v| Value::from(*v)),
            Self::Count(field) => store(field(parameters), value::count(text)?, |v| Value::from(*v)),
            Self::Duration(minimum, field) => {
                let read = value::duration(text, minimum, foreign)?;
                store(field(parameters), read, |v| value::duration_json(*v))
            }
            Self::Path(field) => store(field(parameters), value::path(text)?, |_| text.into()),
            Self::OptionalPath(field) => store(field(parameters), Some(value::path(text)?), |_| text.into()),
            Self::Text(rule, field) => store(field(parameters), Some(rule(text)?), |_| text.into()),
            Self::AdvertiseHost(field) => {
                let host = value::advertise_host(text, &parameters.ironic.api_urls)?;
                store(field(parameters), Some(host), |_| text.into())
            }
            Self::Host(field) => store(field(parameters), value::host(text)?, |_| text.into()),
            Self::ReportUrl(field) => {
                let url = value::report_url(text)?;
                let shown = url.to_string();
                store(field(parameters), Some(url), |_| shown.into())
            }
            Self::ListenAddress(field) => {
                let read = value::listen_address(text)?;
                store(field(parameters), Some(read), |_| text.into())
            }
            Self::LoopbackAddress(field) => {
                store(field(parameters), value::loopback_address(text)?, |_| text.into())
            }
            Self::ApiVersion(field) => store(field(parameters), value::api_version(text)?, |_| text.into()),
            Self::Protocol(field) => store(field(parameters), value::protocol(text)?, |_| text.into()),
            Self::Choice(names, set) => {
                let place = names.iter().position(|name| *name == text);
                place
                    .and_then(|place| set(parameters, place))
                    .ok_or_else(|| format!("one of {}", names.join(", ")))?;
                text.into()
            }
            Self::RestartUnit(field) => store(field(parameters), value::restart_unit(text)?, |_| text.into()),
            Self::LogFilter(field) => store(field(parameters), value::log_filter(text)?, |_| text.into()),
            Self::Token(field) => {
                let secret = Secret::new(value::token(text)?);
                store(field(parameters), Some(secret), |_| MASK.into())
            }
            Self::ApiUrls(_) => return Err(Wanted::Borrowed("a comma list")),
        })
    }
}

fn store<T>(field: &mut T, value: T, show: impl FnOnce(&T) -> Value) -> Value {
    let shown = show(&value);
    *field = value;
    shown
}

/// The most API URLs that are taken; each is resolved and tried.
const URLS: usize = 32;
/// So many items of a list that are no use are named.
const REJECTED: usize = 8;

/// Reads a comma list; each item that is unusable is rejected by itself.
fn read_urls(text: &str, field: &mut Vec<ApiUrl>) -> Reading {
    let mut urls: Vec<ApiUrl> = Vec::new();
    let mut rejected = Vec::new();
    for item in text.split(',') {
        match value::api_url(item) {
            Ok(url) if urls.contains(&url) => {}
            Ok(url) if urls.len() < URLS => urls.push(url),
            Ok(_) => {
                let wanted = format!("at most {URLS} URLs").into();
                rejected.push(Rejected { text: value::without_password(item.trim()).into_owned(), wanted });
                break;
            }
            Err(wanted) if rejected.len() < REJECTED => {
                rejected.push(Rejected { text: value::without_password(item.trim()).into_owned(), wanted })
            }
            Err(_) => {}
        }
    }
    let shown = urls.iter().map(|url| Value::from(url.to_string())).collect();
    let value = (!urls.is_empty()).then_some(Value::Array(shown));
    if value.is_some() {
        *field = urls;
    }
    Reading { value, rejected }
}
