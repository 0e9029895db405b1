//! One report on its way: from nothing to the receiver's answer within 300 ms.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use api_client::http::{Deadline, exchange_up_to};
use api_client::{Connector, HttpError, Peer, error_text};
use callback_url::{ApiUrl, Scheme};
use exporter::{ClientTls, read_file};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use settings::value;
use text::foreign_text;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::params::ReportParameters;

use super::state::ReportResult;

/// A report that is not through by then is given up.
pub const LIMIT: Duration = Duration::from_millis(300);
/// So many addresses of the receiver are tried.
const ADDRESSES: usize = 4;
/// Of an answer only a short text is read.
const ANSWER_BYTES: usize = 4 << 10;
/// Behind the prefix of the URL.
pub const PATH: &str = "/v1/report";
const USER_AGENT: &str = concat!("ipa-sidecar/", env!("CARGO_PKG_VERSION"));

/// Where reports go.
pub struct Receiver {
    url: ApiUrl,
    connector: Connector,
    authorization: Option<HeaderValue>,
    /// Which of its addresses comes first: the one that answered.
    first: usize,
}

/// The addresses of the receiver, or why there are none.
pub type Addresses = Result<Vec<IpAddr>, String>;

/// What became of a report, and why it was not accepted.
pub type Outcome = Result<(), (ReportResult, String)>;

impl Receiver {
    /// Reads the files. `None`: no report is wanted.
    ///
    /// # Errors
    /// A file that cannot be used, as a sentence.
    pub fn open(parameters: &ReportParameters) -> Option<Result<Self, String>> {
        let url = parameters.url.clone()?;
        Some(Self::of(url, parameters))
    }

    fn of(url: ApiUrl, parameters: &ReportParameters) -> Result<Self, String> {
        let tls = ClientTls {
            wanted: url.scheme == Scheme::Https,
            cafile: parameters.cafile.as_deref(),
            certfile: None,
            keyfile: None,
            insecure: false,
        };
        let connector = Connector::new(tls, LIMIT).map_err(|error| format!("--report.cafile: {error}"))?;
        let authorization = parameters.token_file.as_deref().map(bearer).transpose();
        let authorization = authorization.map_err(|why| format!("--report.token-file: {why}"))?;
        Ok(Self { url, connector, authorization, first: 0 })
    }

    /// The URL.
    pub fn url(&self) -> &ApiUrl {
        &self.url
    }

    /// Sends a report to the first of the addresses that takes a connection.
    ///
    /// # Errors
    /// What became of it, and why.
    pub async fn post(&mut self, addresses: &Addresses, body: Vec<u8>) -> Outcome {
        let all = match addresses {
            Ok(all) if !all.is_empty() => all,
            Ok(_) => return Err((ReportResult::NameUnresolved, format!("{} has no address", self.url.host))),
            Err(why) => return Err((ReportResult::NameUnresolved, why.clone())),
        };
        let late = || (ReportResult::Timeout, format!("{} did not answer within {LIMIT:?}", self.url));
        let posted = timeout(LIMIT, self.post_to(all, body.into()));
        let outcome = posted.await.unwrap_or_else(|_| Err(late()));
        if outcome.as_ref().is_err_and(|(result, _)| *result != ReportResult::Refused) {
            self.first = (self.first + 1) % all.len(); // A silent one must not hide the others.
        }
        outcome
    }

    async fn post_to(&self, addresses: &[IpAddr], body: Bytes) -> Outcome {
        let deadline = Deadline { at: Instant::now() + LIMIT, after: LIMIT };
        let mut last = None;
        for address in addresses.iter().cycle().skip(self.first).take(addresses.len().min(ADDRESSES)) {
            let (stream, connection) = match self.connector.connect(&self.url, *address).await {
                Ok(connected) => connected,
                Err(error) => {
                    last = Some(failed(&error));
                    continue;
                }
            };
            let peer = Peer { url: connection.url, address: connection.remote };
            let request = self.request(body.clone())?;
            let reply = exchange_up_to(stream, request, &peer, deadline, ANSWER_BYTES).await;
            let reply = reply.map_err(|error| failed(&error))?;
            if reply.status.is_success() {
                return Ok(());
            }
            let text = reply.body.ok().and_then(|body| error_text(&body));
            let text = text.map(|text| format!(": {}", foreign_text(&text, None))).unwrap_or_default();
            return Err((ReportResult::Refused, format!("{peer} answered with {}{text}", reply.status)));
        }
        Err(last.unwrap_or_else(|| (ReportResult::ConnectError, "there was no address to try".to_owned())))
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, (ReportResult, String)> {
        let mut request = Request::post(self.url.path(PATH))
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let problem =
            |error: hyper::http::Error| (ReportResult::ConnectError, format!("{}: {error}", self.url));
        request.body(Full::new(body)).map_err(problem)
    }
}

/// RFC 6750, 2.1.
fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let about = |problem: String| format!("{path:?}: {problem}");
    let content = read_file(path).map(Zeroizing::new).map_err(|error| about(error.to_string()))?;
    let text = std::str::from_utf8(&content).ok().and_then(|text| text.lines().next()).unwrap_or_default();
    let token = value::token(text.trim()).map(Zeroizing::new);
    let token = token.map_err(|wanted| about(format!("its first line must be {wanted}")))?;
    let line = Zeroizing::new(format!("Bearer {}", token.as_str()));
    let mut value = HeaderValue::from_str(&line).map_err(|error| about(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn failed(error: &HttpError) -> (ReportResult, String) {
    let result = match error {
        HttpError::Timeout { .. } => ReportResult::Timeout,
        HttpError::Tls { .. } | HttpError::TlsFile { .. } | HttpError::TlsConfig { .. } => {
            ReportResult::TlsError
        }
        HttpError::NotHttp { .. } | HttpError::InvalidResponse { .. } | HttpError::TooLarge { .. } => {
            ReportResult::InvalidResponse
        }
        _ => ReportResult::ConnectError,
    };
    (result, error.to_string())
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    fn parameters(url: &str) -> ReportParameters {
        ReportParameters { url: ApiUrl::parse(url).ok(), cafile: None, token_file: None }
    }

    #[test]
    fn files_that_cannot_be_used_are_named_without_their_content() {
        let directory = Directory::new("report");
        directory.write("bad", "two words\n");
        directory.write("good", "s3cret\nrest\n");
        let open = |name: &str| {
            let token_file = Some(directory.file(name));
            Receiver::open(&ReportParameters { token_file, ..parameters("http://192.0.2.1:1") }).unwrap()
        };
        for name in ["bad", "none"] {
            let why = open(name).err().unwrap();
            assert!(why.starts_with("--report.token-file: ") && !why.contains("two words"), "{why}");
        }
        let authorization = open("good").ok().unwrap().authorization.unwrap();
        assert_eq!(authorization, "Bearer s3cret");
        assert!(!format!("{authorization:?}").contains("s3cret"));
        let cafile = Some(directory.file("none"));
        let why = Receiver::open(&ReportParameters { cafile, ..parameters("https://192.0.2.1:1") });
        assert!(why.unwrap().err().unwrap().starts_with("--report.cafile: "));
        assert!(Receiver::open(&parameters("")).is_none());
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_reported() {
        let mut receiver = Receiver::open(&parameters("http://fleet:1")).unwrap().ok().unwrap();
        for addresses in [Err("fleet is not resolved yet".to_owned()), Ok(Vec::new())] {
            let (result, why) = receiver.post(&addresses, Vec::new()).await.unwrap_err();
            assert_eq!(result, ReportResult::NameUnresolved, "{why}");
            assert!(why.contains("fleet"), "{why}");
        }
    }
}
