//! `POST /v1/report`: who is let in, and how much.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use exporter::{Answer, ConfigFile, Handler, plain};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONNECTION, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use settings::value;
use text::Secret;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cidr::Cidrs;
use crate::moment::Moment;
use crate::params::ReportParameters;
use crate::ramdisks::Ramdisks;
use crate::secret::first_line;

use super::judge::{ReportsResult, Taken, is_same, judge};
use super::limits::Limits;
use super::words::{LastWords, Report};

/// The largest body.
const BODY_BYTES: usize = 64 << 10;
/// A body has to be there within this time.
const BODY_TIME: Duration = Duration::from_secs(5);
/// The only path.
const PATH: &str = "/v1/report";
/// RFC 6750, 2.1.
const SCHEME: &str = "Bearer ";

/// Hears what becomes of each.
pub type OnResult<R> = Arc<dyn Fn(R) + Send + Sync>;

/// Why no reports can be taken.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The listener.
    #[error("{0}; choose another with --report.listen-address")]
    Bind(#[from] exporter::BindError),
    /// The configuration file.
    #[error("--report.config.file: {0}")]
    Config(#[from] exporter::WebConfigError),
    /// The file with the secret.
    #[error("--report.token-file {path:?}: {problem}")]
    Token {
        /// Its name.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Takes reports.
pub struct Intake {
    allow: Cidrs,
    token: Option<Secret>,
    limits: Mutex<Limits>,
    ramdisks: watch::Receiver<Arc<Ramdisks>>,
    words: watch::Sender<LastWords>,
    on_result: OnResult<ReportsResult>,
}

/// Opens the listener and reads the files; gives what serves without end. `None`: no reports are wanted.
///
/// # Errors
/// Where one of them cannot be used.
pub fn listen(
    parameters: &ReportParameters,
    ramdisks: watch::Receiver<Arc<Ramdisks>>,
    words: watch::Sender<LastWords>,
    on_result: OnResult<ReportsResult>,
) -> Result<Option<impl Future<Output = ()> + Send + use<>>, ReportError> {
    let Some(address) = parameters.listen_address else { return Ok(None) };
    let token = parameters.token_file.as_deref().map(secret).transpose()?;
    let protection = parameters.config_file.clone().map(ConfigFile::open).transpose()?;
    let listener = exporter::bind(Some(address), address.port())?;
    if token.is_some() && protection.is_none() {
        tracing::warn!("the secret of reports is readable on the wire: set --report.config.file with TLS");
    }
    let (allow, limits) = (parameters.allow.clone(), Mutex::default());
    let intake = Intake { allow, token, limits, ramdisks, words, on_result };
    Ok(Some(serve(listener, protection, intake)))
}

async fn serve(listener: TcpListener, protection: Option<ConfigFile>, intake: Intake) {
    exporter::serve(listener, "ipa-fleet reports", protection, intake).await;
}

fn secret(path: &Path) -> Result<Secret, ReportError> {
    let wrong = |problem: String| ReportError::Token { path: path.to_owned(), problem };
    let line = first_line(path).map_err(wrong)?;
    let token = value::token(line.expose().trim())
        .map_err(|wanted| wrong(format!("its first line must be {wanted}")))?;
    Ok(Secret::new(token))
}

impl Handler for Intake {
    async fn answer(&self, _request: &Request<Incoming>) -> Answer {
        only_reports()
    }

    async fn take(&self, from: Option<IpAddr>, request: Request<Incoming>) -> Answer {
        if request.uri().path() != PATH {
            return closing(plain(StatusCode::NOT_FOUND, "reports are taken at /v1/report\n"));
        }
        if request.method() != Method::POST {
            return only_reports();
        }
        let Some(from) = from else { return answer(ReportsResult::NotAllowed) };
        let result = match self.admit(from, request).await {
            Ok(taken) => self.keep(from, taken),
            Err(result) => result,
        };
        (self.on_result)(result);
        answer(result)
    }
}

impl Intake {
    async fn admit(&self, from: IpAddr, request: Request<Incoming>) -> Result<Taken, ReportsResult> {
        if !self.allow.contain(from) {
            return Err(ReportsResult::NotAllowed);
        }
        if !self.limits.lock().unwrap_or_else(PoisonError::into_inner).allow(from, Instant::now()) {
            return Err(ReportsResult::TooMany);
        }
        if !self.has_secret(request.headers()) {
            return Err(ReportsResult::Unauthorized);
        }
        let body = body(request.into_body()).await?;
        judge(&body, from, &self.ramdisks.borrow())
    }

    fn has_secret(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        given.strip_prefix(SCHEME.as_bytes()).is_some_and(|given| is_same(given, token.expose().as_bytes()))
    }

    fn keep(&self, from: IpAddr, taken: Taken) -> ReportsResult {
        let Taken { uuid, is_own, text } = taken;
        tracing::debug!(uuid, %from, is_own, "a report");
        let (at, since) = (Moment::of_this_clock(), Instant::now());
        let report = Report { from: from.to_canonical(), at, since, text: text.into() };
        self.words.send_modify(|words| words.keep(&uuid, is_own, report));
        if is_own { ReportsResult::Accepted } else { ReportsResult::Unverified }
    }
}

async fn body(body: Incoming) -> Result<Bytes, ReportsResult> {
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(ReportsResult::TooLarge);
    }
    match timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ReportsResult::TooLarge),
        Ok(Err(_)) | Err(_) => Err(ReportsResult::Slow),
    }
}

fn answer(result: ReportsResult) -> Answer {
    let (status, text) = match result {
        ReportsResult::Accepted => return plain(StatusCode::ACCEPTED, "kept\n"),
        ReportsResult::Unverified => {
            return plain(StatusCode::ACCEPTED, "kept as unverified: it is not from the node's address\n");
        }
        ReportsResult::NotAllowed => (StatusCode::FORBIDDEN, "no reports are taken from there\n"),
        ReportsResult::TooMany => (StatusCode::TOO_MANY_REQUESTS, "at most two a second\n"),
        ReportsResult::Unauthorized => (StatusCode::UNAUTHORIZED, "reports carry a secret here\n"),
        ReportsResult::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "at most 64 KiB\n"),
        ReportsResult::Slow => (StatusCode::REQUEST_TIMEOUT, "at most 5 s\n"),
        ReportsResult::Unreadable => (StatusCode::BAD_REQUEST, "no report\n"),
        ReportsResult::UnknownNode => (StatusCode::NOT_FOUND, "no such node\n"),
    };
    closing(plain(status, text))
}

fn only_reports() -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only POST\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    closing(answer)
}

/// The rest of a body that nobody reads ends with its connection.
fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
