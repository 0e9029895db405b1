//! The daemon inside the guest, as the host sees it: over the forwarded port and over the guest's shell.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use testbed::guest::Machine;
use testbed::http::Http;
use testbed::netns::Netns;

use crate::usage;

/// The host's port that leads to the daemon's web server in the guest.
pub const FORWARDED: u16 = 20099;
/// The most that the daemon may take of the guest's memory, in KiB.
const RESIDENT_LIMIT: u64 = 8 * 1024;
/// A shell command in an emulated machine.
const COMMAND: Duration = Duration::from_secs(20);

/// A guest with the daemon in it.
pub struct Guest {
    /// The machine.
    pub machine: Machine,
    http: Http,
}

impl Guest {
    /// Whose web server is behind [`FORWARDED`] of that namespace.
    pub fn forwarded(machine: Machine, netns: &Arc<Netns>) -> Self {
        Self::at(machine, netns, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), FORWARDED))
    }

    /// Whose web server is reached at an address, from that namespace.
    pub fn at(machine: Machine, netns: &Arc<Netns>, web: SocketAddr) -> Self {
        Self { machine, http: Http::inside(netns, web) }
    }

    /// Runs a command in the guest.
    pub fn run(&self, command: &str) -> anyhow::Result<String> {
        Ok(self.machine.run(command, COMMAND)?)
    }

    /// Seconds since the kernel's start.
    pub fn uptime(&self) -> anyhow::Result<f64> {
        let text = self.run("cut -d ' ' -f 1 /proc/uptime")?;
        text.trim().parse().with_context(|| format!("uptime {text:?}"))
    }

    /// The daemon's `/state`.
    pub fn state(&self) -> anyhow::Result<Value> {
        Ok(self.http.get("/state", &[])?.json()?)
    }

    /// `/metrics`, as text.
    pub fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get("/metrics", &[])?.text())
    }

    /// The sum of a metric's samples that hold `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> anyhow::Result<f64> {
        let text = self.metrics()?;
        let samples = text.lines().filter(|line| {
            let rest = line.strip_prefix("ipa_sidecar_").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(labels)
        });
        let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Waits until the daemon is ready; gives the seconds since the kernel's start.
    pub fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<f64> {
        let http = &self.http;
        self.machine.wait("ready", limit, |_| {
            http.get("/-/ready", &[]).is_ok_and(|answer| answer.status == 200).then_some(())
        })?;
        self.uptime()
    }

    /// Waits until `/state` is as wanted.
    pub fn wait_state(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let http = &self.http;
        let mut last = Value::Null;
        let waited = self.machine.wait(what, limit, |_| {
            last = http.get("/state", &[]).ok()?.json().ok()?;
            wanted(&last).then_some(())
        });
        waited.with_context(|| format!("{last:#}"))
    }

    /// Waits until a metric is as wanted.
    pub fn wait_metric(
        &self,
        name: &str,
        labels: &str,
        limit: Duration,
        wanted: fn(f64) -> bool,
    ) -> anyhow::Result<()> {
        let started = std::time::Instant::now();
        while started.elapsed() < limit {
            if self.metric(name, labels).is_ok_and(wanted) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("not within {limit:?}: {name}{{{labels}}}; the log:\n{}", self.log())
    }

    /// What the daemon costs, and that it has no privilege left: resident memory in KiB, of it anonymous, descriptors.
    pub fn cost(&self) -> anyhow::Result<Cost> {
        let text = self.run(
            "pid=$(pidof ipa-sidecar); cat /proc/$pid/status; grep -E '^(Rss|Anonymous)' /proc/$pid/smaps_rollup; echo Descriptors: $(ls /proc/$pid/fd | wc -l)",
        )?;
        let number = |name: &str| usage::field(&text, name).with_context(|| text.clone());
        ensure!(number("CapEff").is_ok_and(|bits| bits == 0), "capabilities are left: {text}");
        let resident = number("Rss")?;
        ensure!(resident <= RESIDENT_LIMIT, "{resident} KiB resident, more than {RESIDENT_LIMIT}: {text}");
        Ok(Cost {
            resident,
            anonymous: number("Anonymous")?,
            descriptors: number("Descriptors")?,
            most: number("VmHWM")?,
        })
    }

    /// The daemon's log, or why it is missing.
    pub fn log(&self) -> String {
        let text = self
            .run("tail -n 60 /run/ipa-sidecar.log")
            .or_else(|_| self.run("journalctl -b -u ipa-sidecar | tail -n 60"));
        text.unwrap_or_else(|error| error.to_string())
    }
}

/// A field of a JSON object, null where it is missing.
pub fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// What the daemon costs in the guest.
pub struct Cost {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// The part of it that is not the program file's, in KiB.
    pub anonymous: u64,
    /// The most that was ever resident, in KiB.
    pub most: u64,
    /// Open descriptors.
    pub descriptors: u64,
}
