//! Mode configure beside the real IPA and the real Ironic: what sight has is what Ironic's own log has, and nothing stands
//! between them.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::ipa::{IpaOptions, RealIpa};
use testbed::ironic::{Options, RealIronic};
use testbed::root_test;
use testbed::site::*;

use crate::database::{release, reserve, said, token};
use crate::{PATIENCE, front::Front, start_ironic, wait_recorded};

/// Of the node, where IPA makes no certificate, and where it makes one.
const PLAIN_URL: &str = FIRST_URL;
const TLS_URL: &str = "https://10.77.0.5:9999";
/// All heartbeats of IPA's, by their results.
const RESULTS: [&str; 3] = ["tls_required", "conflict", "accepted"];

struct Lab {
    scheme: &'static str,
    ironic: RealIronic,
    front: Option<Front>,
    site: Site,
    started: Instant,
}

/// A request as Ironic has logged it: `lookup` or `heartbeat`, its status, how long it took, in seconds.
type Logged = (&'static str, u64, f64);

impl Lab {
    fn new(scheme: &'static str) -> Self {
        let (started, site) = (Instant::now(), Site::new());
        let behind = Options { port: 6386, ..Options::default() };
        let (ironic, front) = match scheme {
            "https" => {
                let ironic = start_ironic(&site, behind);
                let address = ironic.url().trim_start_matches("http://").parse().unwrap();
                let front = Front::open(&site.conductor, "10.77.0.1", address);
                (ironic, Some(front))
            }
            _ => (start_ironic(&site, Options { bind: [10, 77, 0, 1].into(), ..Options::default() }), None),
        };
        Self { scheme, ironic, front, site, started }
    }

    fn cmdline(&self) -> String {
        format!("BOOT_IMAGE=testbed ipa-api-url={}://{API} quiet", self.scheme)
    }

    /// What IPA and sidecar read.
    fn configure(&self, auto_tls: bool) {
        let cafile = self.front.as_ref().map(Front::cafile).unwrap_or_default();
        let text = format!("[DEFAULT]\nenable_auto_tls = {auto_tls}\n{cafile}");
        self.site.directory.write("10-site.conf", text);
    }

    /// At log level trace, once sight looks at this scheme and the drop-in is on disk.
    fn sidecar(&self) -> Daemon {
        let cmdline = self.site.directory.flag("--cmdline.path", "cmdline", &self.cmdline());
        let config = self.site.directory.config_dir();
        let sidecar = self.site.daemon(&["--mode=configure", "--log.level=trace", &cmdline, &config]);
        wait_drop_in(&sidecar, FIRST, SOON);
        let source = if self.scheme == "https" { "tls" } else { "http" };
        sidecar.wait_state("sight", SOON, |state| state["sight"][source]["attached"] == true).unwrap();
        sidecar
    }

    fn ipa(&self) -> RealIpa {
        let options = IpaOptions::new(&self.site.node, self.site.directory.path());
        RealIpa::start(&IpaOptions { cmdline: self.cmdline(), ..options }).unwrap()
    }

    /// Lookups and heartbeats, of whoever sent them.
    fn logged(&self) -> Vec<Logged> {
        let log = fs::read_to_string(self.ironic.log_path()).unwrap();
        log.lines().filter_map(logged).collect()
    }

    fn tell(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.started.elapsed().as_secs_f64());
    }
}

/// `... ironic.api [...] 10.77.0.5 - POST /v1/heartbeat/UUID - 202 (12.3ms)` (ironic/api/middleware/request_log.py).
fn logged(line: &str) -> Option<Logged> {
    let (_, request) = line.split_once(" ironic.api [")?;
    let is_of = |start: &str| request.contains(&format!(" - {start}"));
    let what = match () {
        () if is_of("GET /v1/lookup") => "lookup",
        () if is_of("POST /v1/heartbeat/") => "heartbeat",
        () => return None,
    };
    let (_, end) = request.rsplit_once(" - ")?;
    let (status, took) = end.split_once(" (")?;
    let took: f64 = took.strip_suffix("ms)")?.parse().ok()?;
    Some((what, status.parse().ok()?, took / 1000.0))
}

fn of_ipa(sidecar: &Daemon, family: &str, result: &str) -> f64 {
    metric(sidecar, &format!("{family}{{result=\"{result}\",sender=\"ipa\"}}"))
}

/// Waits for so many heartbeats of IPA's with this result.
fn wait_beats_with(sidecar: &Daemon, result: &str, count: f64) {
    let what = format!("{count} heartbeats {result}");
    wait_until(sidecar, &what, PATIENCE, || of_ipa(sidecar, "heartbeats_total", result) >= count);
}

/// Where its connections lead, as the kernel has them: to Ironic, all of them.
fn assert_goes_straight(lab: &Lab, ipa: &RealIpa) {
    let sockets = said(lab.site.node.command("ss").args(["-Htnp", "state", "established"]));
    let own = format!("pid={},", ipa.pid());
    let peers: Vec<_> = sockets
        .lines()
        .filter(|line| line.contains(&own))
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            let (local, peer) = (words.next()?, words.next()?);
            // Who asks IPA something is no way of its own.
            (!local.ends_with(":9999")).then(|| peer.to_owned())
        })
        .collect();
    lab.tell(&format!("IPA's own connections lead to {peers:?}"));
    assert!(!peers.is_empty() && peers.iter().all(|peer| peer == API), "{sockets}");
}

/// The three answers of Ironic's that a node may meet, seen as Ironic has them.
fn is_seen(lab: &Lab) -> Daemon {
    lab.configure(false);
    let sidecar = lab.sidecar();
    lab.tell("the sidecar looks");

    // A callback URL over http, and Ironic requires TLS.
    let ipa = lab.ipa();
    wait_beats_with(&sidecar, "tls_required", 2.0);
    assert_goes_straight(lab, &ipa);
    let state = sidecar.state().unwrap();
    assert_names(state["sight"]["refused"].as_str().unwrap(), &["status 400", "TLS is required"]);
    assert_unready(&sidecar, &["TLS is required by configuration"]);
    assert_names(ipa.log(), &[format!("announcing callback URL {PLAIN_URL},")]);
    lab.tell("Ironic has refused http callback URLs");
    drop(ipa);

    // Over https, and another conductor holds the node until it has refused a heartbeat.
    lab.configure(true);
    lab.ironic.power_cycle().unwrap();
    let ipa = lab.ipa();
    reserve(&lab.ironic);
    wait_beats_with(&sidecar, "conflict", 1.0);
    assert_eq!(lab.ironic.agent_url().unwrap(), None);
    release(&lab.ironic);
    wait_beats_with(&sidecar, "accepted", 2.0);
    assert_eq!(wait_recorded(&lab.ironic), TLS_URL);
    assert_goes_straight(lab, &ipa);
    // Put off where the look at IPA came between its end and its start; without IPA there is none.
    wait_until(&sidecar, "read back", PATIENCE, || metric(&sidecar, READ_BACK) >= 1.0);
    let pid = ipa.pid();
    drop(ipa); // Its next heartbeat would come after 3 s.
    lab.tell("Ironic has accepted https callback URLs");
    assert_is_as_ironic_has_it(lab, &sidecar, pid);
    sidecar
}

fn assert_is_as_ironic_has_it(lab: &Lab, sidecar: &Daemon, pid: u32) {
    let logged = lab.logged();
    let beats: Vec<_> = logged.iter().filter(|one| one.0 == "heartbeat").collect();
    let count = |status| beats.iter().filter(|one| one.1 == status).count();
    let counts = [400, 409, 202].map(count);
    lab.tell(&format!("Ironic has logged so many heartbeats with 400, 409, 202: {counts:?}"));
    // The last answer may still be on its way.
    let as_logged =
        || RESULTS.map(|result| of_ipa(sidecar, "heartbeats_total", result)) == counts.map(|n| n as f64);
    wait_until(sidecar, "as many are seen", SOON, as_logged);
    assert!(counts.iter().all(|count| *count > 0) && counts.iter().sum::<usize>() == beats.len());
    assert_eq!(metric(sidecar, "heartbeat_duration_seconds_count"), beats.len() as f64);

    // Two of IPA's, one after each start; ours come after it.
    let lookups: Vec<_> = logged.iter().filter(|one| one.0 == "lookup").map(|one| one.1).collect();
    assert_eq!(of_ipa(sidecar, "lookup_attempts_total", "ok"), 2.0);
    assert_eq!(of_ipa(sidecar, "lookup_attempts_total", "masked_token"), 0.0);
    let own = metric(sidecar, READ_BACK);
    assert_eq!(lookups, vec![200; 2 + own as usize], "IPA's two, and {own} of the sidecar's");
    assert_eq!(metric(sidecar, "lookup_duration_seconds_count"), lookups.len() as f64);
    let seen = |who: &str| metric(sidecar, &format!("exchanges_seen_total{{seen_by=\"{who}\"}}"));
    assert_eq!([seen("sight"), seen("self"), seen("guard")], [2.0 + beats.len() as f64, own, 0.0]);

    let state = sidecar.state().unwrap();
    let exchanges = state["sight"]["exchanges"].as_array().unwrap();
    let shown: Vec<_> = exchanges.iter().filter(|one| one["request"] == "heartbeat").collect();
    assert_eq!((shown.len(), exchanges.len()), (beats.len(), beats.len() + 2), "{exchanges:?}");
    for (shown, beat) in shown.iter().zip(&beats) {
        let url = if beat.1 == 400 { PLAIN_URL } else { TLS_URL };
        assert_eq!((&shown["status"], &shown["callback_url"]), (&json!(beat.1), &json!(url)));
        assert_eq!((&shown["node_uuid"], &shown["token"]), (&json!(lab.ironic.node_uuid()), &json!("real")));
        assert_eq!((&shown["uid"], &shown["seen_by"]), (&json!(0), &json!("sight")));
        let took = shown["duration_seconds"].as_f64().unwrap();
        println!("{} {url}: {:.3} s as Ironic has it, {took:.3} s as seen", beat.1, beat.2);
        assert!(took > 0.0 && took < PATIENCE.as_secs_f64());
    }
    let last = shown.last().unwrap();
    let expected = match lab.scheme {
        "https" => (Value::Null, json!(pid)),
        _ => (json!(API), Value::Null),
    };
    assert_eq!((&last["endpoint"], &last["pid"]), (&expected.0, &expected.1));

    assert_eq!((&state["pinned_url"], &state["read_back"]["state"]), (&json!(TLS_URL), &json!("done")));
    assert_eq!((&state["acting_mode"], &state["guard"]["connections"]), (&json!("configure"), &json!(0)));
    assert_eq!((&state["guard"]["listening"], &state["guard"]["redirecting"]), (&Value::Null, &json!(false)));
    assert_eq!(state["sight"]["refused"], Value::Null);
    assert_eq!(state["bad_agent_urls"], json!([]));
    lab.tell("sight has what Ironic has");
}

/// The token of the last lookup stands in nothing that can be read of the sidecar, and nowhere in its memory.
fn assert_secret(lab: &Lab, sidecar: &Daemon) {
    let token = token(&lab.ironic).unwrap();
    let mut places = vec![("log", sidecar.log())];
    assert_names(&places[0].1, &[lab.ironic.node_uuid(), TLS_URL]);
    for page in ["/", "/state", "/metrics", "/-/ready"] {
        places.push((page, sidecar.get(page).unwrap().text()));
    }
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{name}", sidecar.pid())).unwrap();
        places.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (name, directory) in
        [("kept", lab.site.node.runtime_directory().unwrap()), ("drop-in", lab.site.directory.path())]
    {
        for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            places.push((name, String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()));
        }
    }
    assert!(places.iter().any(|(name, text)| *name == "kept" && text.contains(lab.ironic.node_uuid())));
    let bytes: usize = places.iter().map(|(_, text)| text.len()).sum();
    for (name, text) in places {
        for half in [&token[..21], &token[21..]] {
            assert!(!text.contains(half), "the token is in {name}");
        }
    }
    let copies = copies_in_memory(sidecar.pid(), token.as_bytes());
    lab.tell(&format!(
        "the token is not in {bytes} bytes of log, pages, files and arguments; {copies} times in memory"
    ));
    assert_eq!(copies, 0);
}

#[test]
fn over_http_it_has_what_ironic_has_and_no_token() {
    root_test!("ss");
    let lab = Lab::new("http");
    let sidecar = is_seen(&lab);
    assert_secret(&lab, &sidecar);
}

#[cfg(feature = "ebpf")]
#[test]
fn over_https_it_has_what_ironic_has_and_no_token() {
    root_test!("ss");
    let lab = Lab::new("https");
    let sidecar = is_seen(&lab);
    assert_secret(&lab, &sidecar);
}
