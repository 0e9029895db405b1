//! Debian's Prometheus in a namespace, with the project's own configuration and rules made quick.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use testbed::http::Http;
use testbed::netns::Netns;

use super::quick;
use super::scenario::Place;
use crate::owned::{Killed, Scratch};

/// Where it listens in its namespace.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// In the rules a minute takes so long: 10 minutes are 20 scrapes.
pub const SECONDS_PER_MINUTE: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one.
pub struct Prometheus {
    process: Killed,
    directory: PathBuf,
    http: Http,
}

/// One series of an answer.
#[derive(Debug)]
pub struct Series {
    /// Its labels.
    pub labels: serde_json::Map<String, Value>,
    /// Its values that are numbers.
    pub values: Vec<f64>,
}

impl Series {
    /// A label; empty where it has none of that name.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Prometheus {
    /// Starts it inside, with these targets.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(
        netns: &Arc<Netns>,
        sources: &Path,
        places: &[&Place],
        scratch: &Scratch,
    ) -> anyhow::Result<Self> {
        let directory = scratch.directory("prometheus")?;
        scratch.directory("prometheus/targets")?;
        let read = |name: &str| std::fs::read_to_string(sources.join(name)).with_context(|| name.to_owned());
        std::fs::write(directory.join("prometheus.yml"), quick::every_second(&read("prometheus.yml")?))?;
        let quick = quick::quickened(&read("alerts.yml")?, SECONDS_PER_MINUTE)?;
        std::fs::write(directory.join("alerts.yml"), quick)?;
        std::fs::write(directory.join("targets/nodes.json"), targets(places).to_string())?;
        let log = std::fs::File::create(directory.join("log"))?;
        let child = netns
            .command("prometheus")
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("prometheus")?;
        let mut prometheus = Self { process: Killed(child), directory, http: Http::inside(netns, ADDRESS) };
        let started = Instant::now();
        while !prometheus.http.get("/-/ready", &[]).is_ok_and(|answer| answer.status == 200) {
            if let Some(status) = prometheus.process.0.try_wait()? {
                bail!("Prometheus ended with {status}\n{}", prometheus.log());
            }
            if started.elapsed() > PATIENCE {
                bail!("Prometheus is not ready after {PATIENCE:?}\n{}", prometheus.log());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(prometheus)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The values of a label in the series that match.
    ///
    /// # Errors
    /// Where it does not answer, or with an error.
    pub fn label_values(&self, series: &str, label: &str) -> anyhow::Result<Vec<String>> {
        let data = self.ask(&format!("/api/v1/label/{label}/values"), &[("match[]", series)])?;
        let values = data.as_array().context("no list")?;
        Ok(values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The series of an expression, a value each second from `since` until now.
    ///
    /// # Errors
    /// Where it does not answer, or with an error: of PromQL, for example.
    pub fn range(&self, expression: &str, since: SystemTime) -> anyhow::Result<Vec<Series>> {
        let [start, end] =
            [since, SystemTime::now()].map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default());
        let [start, end] = [start, end].map(|time| format!("{:.3}", time.as_secs_f64()));
        let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", "1")];
        let data = self.ask("/api/v1/query_range", &parameters)?;
        let result = data.get("result").and_then(Value::as_array).context("no result")?;
        Ok(result.iter().map(series).collect())
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let words: Vec<_> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = self.http.get(&format!("{path}?{}", words.join("&")), &[])?.json()?;
        match answer.get("data") {
            Some(data) if answer.get("status").is_some_and(|status| status == "success") => Ok(data.clone()),
            _ => bail!("Prometheus says {answer} to {parameters:?}"),
        }
    }
}

fn series(value: &Value) -> Series {
    let labels = value.get("metric").and_then(Value::as_object).cloned().unwrap_or_default();
    let pairs = value.get("values").and_then(Value::as_array).into_iter().flatten();
    let numbers = pairs.filter_map(|pair| pair.get(1)?.as_str()?.parse::<f64>().ok());
    Series { labels, values: numbers.filter(|number| number.is_finite()).collect() }
}

/// The targets as file_sd wants them; a node is called by its scenario.
fn targets(places: &[&Place]) -> Value {
    let groups = places.iter().map(|place| {
        json!({
            "targets": [format!("{}:10099", place.scrape_address())],
            "labels": {"instance": place.scenario.name, "site": place.site()},
        })
    });
    groups.collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Passes connections on from a loopback port of this machine to Prometheus in its namespace, until this process ends.
///
/// # Errors
/// Where no port is free.
pub fn forward(netns: &Arc<Netns>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let netns = Arc::clone(netns);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let inside = netns.enter(|| TcpStream::connect(ADDRESS));
            if let Ok(Ok(server)) = inside {
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                std::thread::spawn(move || pass_on(from, to));
                std::thread::spawn(move || pass_on(server, client));
            }
        }
    });
    Ok(address)
}

/// One direction, until either side closes.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_the_others_left() {
        let read = series(&json!({"metric": {"a": "b"}, "values": [[1, "2.5"], [2, "NaN"], [3, "+Inf"]]}));
        assert_eq!((read.label("a"), read.label("c")), ("b", ""));
        assert_eq!(read.values, [2.5]);
        assert_eq!(encoded("a{"), "%61%7B");
    }
}
