//! The part of `/state` that the probes tell.

use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;

use crate::probes::{Probe, Unavailable};
use crate::status::{CallbackStatus, ConnectFailure, ProbesStatus};

#[derive(Serialize)]
pub(super) struct Probes<'a> {
    list: Vec<ProbeState<'a>>,
    notes: &'a [String],
    events_lost: u64,
    runs_skipped: u64,
    connect_failures: Vec<Failure<'a>>,
    callback: Callback,
}

#[derive(Serialize)]
struct ProbeState<'a> {
    probe: &'static str,
    attached: bool,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Failure<'a> {
    seconds_ago: f64,
    target: &'static str,
    peer: SocketAddr,
    local: Option<SocketAddr>,
    errno: &'static str,
    errno_source: &'static str,
    duration_seconds: f64,
    pid: u32,
    comm: &'a str,
    uid: u32,
    cgroup_id: u64,
    network_namespace: Option<u32>,
}

#[derive(Serialize)]
struct Callback {
    source: &'static str,
    connections: u64,
    last_connection_seconds_ago: Option<f64>,
    last_connection_peer: Option<SocketAddr>,
    refused: u64,
    last_refused_seconds_ago: Option<f64>,
    last_refused_peer: Option<SocketAddr>,
}

impl<'a> From<&'a ProbesStatus> for Probes<'a> {
    fn from(status: &'a ProbesStatus) -> Self {
        let report = &status.report;
        Self {
            list: report.probes.iter().map(ProbeState::from).collect(),
            notes: &report.notes,
            events_lost: status.lost,
            runs_skipped: status.skipped,
            connect_failures: status.connect_failures.iter().map(Failure::from).collect(),
            callback: Callback::from(&status.callback),
        }
    }
}

impl<'a> From<&'a (Probe, Result<(), Unavailable>)> for ProbeState<'a> {
    fn from((probe, outcome): &'a (Probe, Result<(), Unavailable>)) -> Self {
        let unavailable = outcome.as_ref().err();
        Self {
            probe: probe.as_str(),
            attached: outcome.is_ok(),
            reason: unavailable.map(|unavailable| unavailable.reason.as_str()),
            detail: unavailable.map(|unavailable| unavailable.detail.as_str()),
        }
    }
}

impl<'a> From<&'a ConnectFailure> for Failure<'a> {
    fn from(failure: &'a ConnectFailure) -> Self {
        Self {
            seconds_ago: failure.at.elapsed().as_secs_f64(),
            target: failure.target(),
            peer: failure.peer,
            local: failure.local,
            errno: failure.errno,
            errno_source: failure.sureness,
            duration_seconds: failure.duration.as_secs_f64(),
            pid: failure.process,
            comm: &failure.comm,
            uid: failure.user,
            cgroup_id: failure.cgroup,
            network_namespace: Some(failure.network_namespace).filter(|inode| *inode != 0),
        }
    }
}

impl From<&CallbackStatus> for Callback {
    fn from(status: &CallbackStatus) -> Self {
        let seconds_ago = |(at, _): (Instant, SocketAddr)| at.elapsed().as_secs_f64();
        Self {
            source: status.source,
            connections: status.connections,
            last_connection_seconds_ago: status.last.map(seconds_ago),
            last_connection_peer: status.last.map(|(_, peer)| peer),
            refused: status.refused,
            last_refused_seconds_ago: status.last_refused.map(seconds_ago),
            last_refused_peer: status.last_refused.map(|(_, peer)| peer),
        }
    }
}
