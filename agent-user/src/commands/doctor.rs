//! `doctor`: what this kernel, these privileges and this ramdisk allow, and what each missing piece costs.

use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use exporter::ConfigFile;
use fib::{Kernel, Monitor, listens};
use rustix::fs::{Access, access};
use serde::Serialize;

use crate::advertise::Decision;
use crate::agent::{Neighbour, works_beside_ipa};
use crate::guard;
use crate::ipa::place::{Place, Reads};
use crate::ipa::status::IpaProbe;
use crate::ironic::Client;
use crate::params::{Loaded, Mode, Parameters, ProbeChoice};
use crate::probes::{Probes, Reason, privileges};
use crate::sight::Sight;
use crate::sight::tls::{self, Tls};
use crate::web;

use super::explain::{ExplainError, decide_once};

/// What the lack of sight costs.
const NOT_SEEN: &str =
    "IPA's lookups and heartbeats over it are invisible; a read-back shows what Ironic holds";

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    name: &'static str,
    /// Whether it is as it should be.
    ok: bool,
    /// Whether the chosen mode needs it.
    required: bool,
    /// What was found.
    found: String,
    /// What its lack costs; empty where nothing is lacking.
    cost: String,
}

/// Looks at everything that the chosen mode depends on.
///
/// # Errors
/// Where the decision cannot be asked for.
pub async fn examine(loaded: &Loaded) -> Result<Vec<Check>, ExplainError> {
    let parameters = &loaded.parameters;
    let mode = parameters.mode;
    let mut checks = vec![parameters_check(loaded), monitor(), questions(), ipv6()];
    checks.push(address(&decide_once(parameters).await?));
    checks.push(web_port(parameters));
    checks.extend(parameters.web_config_file.clone().map(web_config));
    checks
        .extend((mode == Mode::Configure || mode == Mode::Guard).then(|| dropin(&parameters.ipa.config_dir)));
    checks.extend((mode != Mode::Agent).then(|| place(&loaded.place)));
    checks.extend((mode == Mode::Guard).then(|| guard_redirect(parameters)));
    checks.push(ipa(parameters).await);
    if mode == Mode::Agent {
        checks.push(tls(parameters));
        checks.push(listener(parameters));
    }
    checks.push(systemd());
    checks.extend(probes_and_sight(loaded));
    Ok(checks)
}

/// Attaches them and lets them go again: only the kernel knows.
fn probes_and_sight(loaded: &Loaded) -> Vec<Check> {
    let before = privileges::described();
    let parameters = &loaded.parameters;
    let mut attached = Probes::attach(parameters);
    let mut checks = match parameters.mode {
        Mode::Agent => Vec::new(),
        mode => {
            let in_container = loaded.image.in_container();
            let waited_for = in_container.then_some(parameters.advertise.wait);
            sight(&Sight::open(mode, parameters), &Tls::attach(&mut attached, waited_for).1)
        }
    };
    checks.extend(probes(&attached, parameters.probe_connect == ProbeChoice::On, &before));
    checks
}

fn sight(sight: &Sight, tls: &tls::Report) -> Vec<Check> {
    let http = match sight.report() {
        Ok(()) => Ok("the daemon sees exchanges with Ironic at the network".to_owned()),
        Err(why) if why.reason == Reason::Https => Ok(format!("not needed: {}", why.detail)),
        Err(why) => Err(why.to_string()),
    };
    let files: Vec<_> = tls.libraries.iter().map(|path| path.display().to_string()).collect();
    let seen = format!("the daemon sees what passes through {}", files.join(" and "));
    let (https, cost) = match (&tls.missing, &tls.answers_missing) {
        (Some(why), _) => (Err(why.to_string()), NOT_SEEN),
        (None, Some(why)) => {
            (Err(format!("{seen}, but no answers: {why}")), "a read-back shows what Ironic holds")
        }
        (None, None) => (Ok(seen), NOT_SEEN),
    };
    let mut checks =
        vec![check("sight http", false, http, NOT_SEEN), check("sight https", false, https, cost)];
    checks.extend(tls.notes.iter().map(|note| check("sight https", false, Err(note.clone()), "see above")));
    checks
}

fn probes(attached: &Probes, required: bool, before: &str) -> Vec<Check> {
    let report = attached.report();
    let mut checks: Vec<_> = report
        .probes
        .iter()
        .map(|(probe, outcome)| {
            let outcome = outcome.as_ref();
            let outcome =
                outcome.map(|path| format!("attaches ({})", path.as_str())).map_err(ToString::to_string);
            check(probe.check_name(), required, outcome, probe.cost())
        })
        .collect();
    checks.extend(report.notes.iter().map(|note| check("probes", false, Err(note.clone()), "see above")));
    let needed = format!("needed at the start for the probes: {}; here: {before}", privileges::NEEDED);
    let outcome = if report.any() {
        Ok(format!("{needed}; the daemon then drops all of them and sets no_new_privs"))
    } else {
        Err(needed)
    };
    checks.push(check("capabilities", false, outcome, "everything but the probes works without any"));
    checks
}

/// Prints the checks; true where the chosen mode can work.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print(mode: Mode, checks: &[Check], json: bool, out: &mut impl Write) -> io::Result<bool> {
    let works = checks.iter().all(|check| check.ok || !check.required);
    if json {
        let answer = serde_json::json!({ "mode": mode.as_str(), "works": works, "checks": checks });
        serde_json::to_writer_pretty(&mut *out, &answer)?;
        writeln!(out)?;
        return Ok(works);
    }
    for check in checks {
        let word = match (check.ok, check.required) {
            (true, _) => "ok",
            (false, true) => "FAIL",
            (false, false) => "lack",
        };
        writeln!(out, "{word:4}  {}: {}", check.name, check.found)?;
        if !check.ok {
            writeln!(out, "      {}", check.cost)?;
        }
    }
    let verdict = if works { "can work" } else { "cannot work" };
    writeln!(out, "mode {} {verdict} here", mode.as_str())?;
    Ok(works)
}

/// A check from its outcome: what was found, or what the lack is and costs.
fn check(name: &'static str, required: bool, outcome: Result<String, String>, cost: &str) -> Check {
    let ok = outcome.is_ok();
    let (Ok(found) | Err(found)) = outcome;
    Check { name, ok, required, found, cost: if ok { String::new() } else { cost.to_owned() } }
}

fn parameters_check(loaded: &Loaded) -> Check {
    let mode = loaded.parameters.mode;
    let has_target =
        !loaded.parameters.ironic.api_urls.is_empty() || loaded.parameters.advertise.host.is_some();
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    let outcome = match (has_target, problems.is_empty()) {
        (true, true) => Ok("every value is usable".to_owned()),
        (false, true) => Err("no API URL was given".to_owned()),
        (_, false) => Err(problems.join("; ")),
    };
    let required = !has_target && mode != Mode::Observe;
    check(
        "parameters",
        required,
        outcome,
        "see `ipa-sidecar params`; without an API URL every mode acts as observe",
    )
}

fn monitor() -> Check {
    let outcome = Monitor::subscribe();
    let outcome = outcome.map(|_| "links, addresses, routes, rules and nexthops are announced".to_owned());
    check("netlink watch", true, outcome.map_err(|error| error.to_string()), "the daemon cannot start")
}

fn questions() -> Check {
    let outcome = Kernel::open().and_then(|mut kernel| kernel.links());
    let outcome = outcome.map(|links| format!("the kernel answers; {} devices", links.len()));
    check("netlink questions", true, outcome.map_err(|error| error.to_string()), "the daemon cannot start")
}

fn ipv6() -> Check {
    let outcome = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).map(|_| "there".to_owned());
    let outcome = outcome.map_err(|error| format!("not there: {error}"));
    check("IPv6", false, outcome, "an API that has only IPv6 addresses cannot be reached")
}

fn address(decision: &Decision) -> Check {
    let outcome =
        if decision.address.is_some() { Ok(decision.to_string()) } else { Err(decision.to_string()) };
    // Not required: a ramdisk whose address is still to come works anyway.
    check("advertise address", false, outcome, "nothing to advertise yet; the daemon keeps watching")
}

fn web_port(parameters: &Parameters) -> Check {
    let outcome = web::bind(parameters.web_listen_address).map(|listener| match listener.local_addr() {
        Ok(address) => format!("{address} can be bound"),
        Err(_) => "can be bound".to_owned(),
    });
    let outcome = outcome.map_err(|error| format!("{error} (by a running ipa-sidecar?)"));
    check("web listener", false, outcome, "no pages until it can")
}

fn web_config(path: PathBuf) -> Check {
    let outcome = ConfigFile::open(path).map(|_| "usable".to_owned()).map_err(|error| error.to_string());
    check("web configuration", false, outcome, "no pages until it is")
}

fn dropin(directory: &Path) -> Check {
    let outcome = access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map(|()| format!("{} is writable", directory.display()))
        .map_err(|error| format!("{} is not writable: {error}", directory.display()));
    check("drop-in directory", true, outcome, "IPA still chooses its address itself")
}

fn place(place: &Place) -> Check {
    let (outcome, cost) = match place.reads_it {
        Reads::Yes => (Ok(place.shown()), ""),
        Reads::No => (Err(place.shown()), "IPA still chooses its address itself"),
        Reads::Unknown => (Err(place.shown()), "it shows once IPA runs"),
    };
    check("drop-in's reader", false, outcome, cost)
}

/// Attaches the redirect and lets it go again: only the kernel knows.
fn guard_redirect(parameters: &Parameters) -> Check {
    // Another port: the one of a running daemon is taken.
    let listen = SocketAddr::new(parameters.guard.listen_address.ip(), 0);
    let outcome = guard::possible(&parameters.guard, &parameters.ironic.api_urls)
        .and_then(|()| guard::redirect::open(listen))
        .map(|_| "the kernel can redirect connects to the API".to_owned())
        .map_err(|off| off.to_string());
    check(
        "guard",
        false,
        outcome,
        "acts as mode configure: IPA gets the right address, and the guard repairs no heartbeat",
    )
}

async fn ipa(parameters: &Parameters) -> Check {
    const NAME: &str = "ironic-python-agent";
    let settings = &parameters.ipa_settings;
    let alone = parameters.mode == Mode::Agent && !works_beside_ipa(parameters);
    if alone {
        let found = match Neighbour::new(settings) {
            Ok(neighbour) => neighbour.look().await,
            Err(error) => Some(error.to_string()),
        };
        let outcome = found.map_or_else(|| Ok("none is here, as mode agent needs it".to_owned()), Err);
        return check(NAME, true, outcome, "mode agent acts as observe");
    }
    let status = match IpaProbe::of(settings) {
        Ok(probe) => probe.ask().await,
        Err(error) => return check(NAME, false, Err(error.to_string()), "its state is unknown"),
    };
    let port = settings.listen_port;
    let outcome = match status.up {
        true => {
            Ok(format!("version {} answers on port {port}", status.version.as_deref().unwrap_or("unknown")))
        }
        false => Err(format!("none answers on port {port}")),
    };
    check(NAME, false, outcome, "normal before it has started")
}

fn tls(parameters: &Parameters) -> Check {
    let outcome = Client::new(&parameters.ironic).map(|_| "its files can be used".to_owned());
    check("TLS", true, outcome.map_err(|error| error.to_string()), "no request to Ironic can be sent")
}

fn listener(parameters: &Parameters) -> Check {
    let port = parameters.advertise.port;
    let outcome = match listens(None, port) {
        Ok(true) => Ok(format!("something listens on port {port}")),
        Ok(false) => Err(format!("nothing listens on port {port}")),
        Err(error) => Err(format!("cannot be asked: {error}")),
    };
    check(
        "agent's listener",
        false,
        outcome,
        "no heartbeat until something does (see --agent.without-listener)",
    )
}

fn systemd() -> Check {
    let outcome = match std::env::var_os("NOTIFY_SOCKET") {
        Some(_) => Ok("notified when the daemon is ready".to_owned()),
        None => Err("did not start this".to_owned()),
    };
    check("systemd", false, outcome, "nothing waits for the daemon; normal on a console")
}
