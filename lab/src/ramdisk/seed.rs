//! The guard's redirect in the guest: a heartbeat as the seed sent it, while the daemon runs, is stopped, killed and back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::ironic::RealIronic;

use super::guest::Guest;

/// The emulated machine is slow, and the self-test is a part of the start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The guest's address as the seed took it from `ip route get`, and as it is.
const WRONG: &str = "http://10.0.2.15 uid 0:9999";
const RIGHT: &str = "http://10.0.2.15:9999";
/// Longer than the stamp of a daemon that does nothing any more (agent-ebpf, `STAMP_LIFETIME`).
const STAMP_IS_OLD: &str = "sleep 3";
/// Both the daemon and what would start it again, and nothing else.
const KILL: &str = "kill -9 $(cat /run/ipa-sidecar.pid); rm /run/ipa-sidecar.pid; killall -9 ipa-sidecar";
const START: &str = "initramfs-ipa-sidecar start --mode=guard \
                     --web.listen-address=0.0.0.0:10099 --log.level=debug >/dev/console 2>&1";

/// Sends it in each state; says what Ironic made of it.
///
/// # Errors
/// Where there is no redirect, or Ironic holds another URL than the right one.
pub fn through_the_redirect(guest: &mut Guest, ironic: &RealIronic) -> anyhow::Result<String> {
    guest.wait_state("a redirect", PATIENCE, redirects)?;
    let redirected = guest.uptime()?;
    let mounts = guest.run("cat /proc/mounts")?;
    ensure!(!mounts.contains("cgroup2"), "a cgroup2 hierarchy is mounted for all: {mounts}");

    let (status, reply) = ask(guest, "GET", "/v1/lookup?addresses=52:54:00:12:34:56", "")?;
    ensure!(status == 200, "the lookup was answered {status}: {reply}");
    let token = reply.pointer("/config/agent_token").and_then(Value::as_str).context("no token")?;
    let path = format!("/v1/heartbeat/{}", ironic.node_uuid());
    let body = format!(r#"{{"callback_url":"{WRONG}","agent_token":"{token}","agent_version":"1.5.2"}}"#);
    let beat = |guest: &Guest, when: &str, wanted: u16| -> anyhow::Result<()> {
        let (status, reply) = ask(guest, "POST", &path, &body)?;
        ensure!(
            status == wanted,
            "{when}, the heartbeat was answered {status} {reply}; log:\n{}",
            guest.log()
        );
        let held = ironic.agent_url()?;
        ensure!(held.as_deref() == Some(RIGHT), "{when}, Ironic holds {held:?}");
        Ok(())
    };
    beat(guest, "with the guard", 202)?;
    for (metric, labels) in [
        ("lookup_attempts_total", "result=\"ok\",sender=\"ipa\""),
        ("heartbeats_total", "result=\"accepted\",sender=\"ipa\""),
        ("bad_agent_url_total", "action=\"repaired\",source=\"ipa\""),
    ] {
        guest.wait_metric(metric, labels, PATIENCE, |count| count == 1.0)?;
    }
    let cost = guest.cost()?;

    // Unrepaired it is another URL than the recorded one: Ironic's refusal shows that it came directly.
    guest.run(&format!("kill -STOP $(pidof ipa-sidecar); {STAMP_IS_OLD}"))?;
    beat(guest, "while the daemon is stopped", 400)?;
    guest.run("kill -CONT $(pidof ipa-sidecar)")?;
    let went_on = Instant::now();
    while beat(guest, "after the stop", 202).is_err() && went_on.elapsed() < PATIENCE {}
    beat(guest, "after the stop", 202)?;
    guest.run(KILL)?;
    beat(guest, "right after kill -9", 400)?;
    guest.run(START)?;
    guest.wait_state("a redirect of the next daemon", PATIENCE, redirects)?;
    beat(guest, "with the next daemon", 202)?;
    Ok(format!(
        "connects redirected {redirected:.1} s after the kernel's start, without a cgroup2 mount; {WRONG:?} repaired: \
         Ironic holds {RIGHT}; after SIGSTOP and after kill -9 a heartbeat goes directly (400), with the next daemon 202; \
         {} KiB resident ({} anonymous), {} descriptors",
        cost.resident, cost.anonymous, cost.descriptors
    ))
}

fn redirects(state: &Value) -> bool {
    state.pointer("/guard/redirecting").and_then(Value::as_bool) == Some(true)
}

/// A request with what busybox has, in a connection of its own: status and body.
fn ask(guest: &Guest, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Value)> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\\r\\nHost: 10.0.2.2\\r\\nX-OpenStack-Ironic-API-Version: 1.68\\r\\n\
         Content-Type: application/json\\r\\nContent-Length: {length}\\r\\nConnection: close\\r\\n\\r\\n"
    );
    // nc ends with its input, so that stays open until the answer is there.
    let answer = guest.run(&format!(
        ": >/tmp/answer; {{ printf '{head}{body}'; n=0; until [ -s /tmp/answer ] || [ $n -gt 70 ]; do sleep 0.2; \
         n=$((n + 1)); done; sleep 0.5; }} | nc 10.0.2.2 6385 >/tmp/answer; cat /tmp/answer"
    ))?;
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let start = answer.find('{').unwrap_or(answer.len());
    let mut values = serde_json::Deserializer::from_str(answer.get(start..).unwrap_or_default()).into_iter();
    let value = values.next().and_then(Result::ok).unwrap_or_default();
    Ok((
        status.with_context(|| format!("no answer to {method} {path}: {answer:?}; log:\n{}", guest.log()))?,
        value,
    ))
}
