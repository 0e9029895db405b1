//! IPA in a container: its libssl is its own, and is known once it runs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, TlsIdentity};

const PYTHON: &str = "/usr/bin/python3";
/// The files of OpenShift's and Metal3's images; the daemon reads its unit.
const UNIT: &str = "[Service]\nExecStart=/bin/podman run --rm --privileged --network host \
                    --mount type=bind,src=/,dst=/mnt/coreos image --config-dir /mnt/coreos/etc/ironic-python-agent.d\n";
/// It has libssl mapped, and speaks once it is asked to.
const CLIENT: &str = "
import encodings.idna, http.client, ssl, sys
print('begun', flush=True)
for path in sys.stdin:
    api = http.client.HTTPSConnection('10.77.0.1', 6385, context=ssl._create_unverified_context(), timeout=20)
    api.request('GET', path.strip(), headers={'X-OpenStack-Ironic-API-Version': '1.68'})
    answer = api.getresponse()
    answer.read()
    print(answer.status, flush=True)
";
/// Another root, with a copy of one file of this one; its file system is its own.
const CONTAINER: &str = "mount -t tmpfs tmpfs \"$1\"; cd \"$1\"; mkdir up work root; \
                         mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root; cd root; \
                         cp \"$2\" tmp/copy; mv tmp/copy \"./$2\"; mkdir old; pivot_root . old; \
                         mount -t proc proc proc; umount -l old; exec \"$3\" \"$4\" --config-dir /etc/x";

struct Container {
    child: Child,
    _place: Directory,
}

impl Container {
    fn start(site: &Site, libssl: &str) -> Self {
        let place = Directory::new("container");
        place.write("ironic-python-agent", CLIENT);
        fs::create_dir(place.file("root")).unwrap();
        let mut command = site.node.command("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-ec", CONTAINER, "sh"])
            .arg(place.file("root"))
            .args([libssl, PYTHON]);
        command.arg(place.file("ironic-python-agent")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut container = Self { child: command.spawn().unwrap(), _place: place };
        assert_eq!(container.line(), "begun");
        container
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, path: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{path}").unwrap();
        self.line()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn libssl() -> Option<String> {
    let print =
        "import _ssl, re; print(re.search(r'/\\S*/libssl[^ ]*\\.so\\S*', open('/proc/self/maps').read())[0])";
    let output =
        Command::new(PYTHON).args(["-c", print]).output().ok().filter(|output| output.status.success())?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(fs::canonicalize(path.trim()).ok()?.to_str()?.to_owned())
}

/// How many threads of the daemon have a capability.
fn privileged_threads(daemon: &Daemon) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten();
    let status = threads.map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default());
    status.filter(|status| !status.is_empty() && !status.contains("CapPrm:\t0000000000000000\n")).count()
}

fn identity() -> TlsIdentity {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["10.77.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    TlsIdentity { certificates: certificate.pem(), key: key.serialize_pem(), client_ca: None }
}

#[test]
fn its_libssl_is_watched_once_it_runs_and_then_no_privilege_is_left() {
    root_test!("python3");
    let libssl = libssl();
    if !testbed::have("a Python that links libssl", libssl.is_some()) {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(Behaviour { tls: Some(identity()), ..node_with_mac() });
    let etc = Directory::new("container-etc");
    etc.write("systemd/system/ironic-agent.service", UNIT);
    fs::create_dir(etc.file("ironic-python-agent.d")).unwrap();
    let flags = ["--mode=configure", "--ironic.api-url=https://10.77.0.1:6385"];
    let daemon =
        site.daemon_after(&format!("mount --bind {} /etc; exec \"$@\"", etc.path().display()), &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    let waits = |state: &Value| state["sight"]["tls"]["reason"] == "not_yet";
    daemon.wait_state("a container is waited for", SOON, waits).unwrap();
    assert_eq!(privileged_threads(&daemon), 1);

    let mut ipa = Container::start(&site, &libssl.unwrap());
    let is_attached = |state: &Value| state["sight"]["tls"]["attached"] == true;
    daemon.wait_state("watching the libssl of IPA's container", SOON, is_attached).unwrap();
    wait_until(&daemon, "no privilege is left", SOON, || privileged_threads(&daemon) == 0);
    assert_eq!(ipa.ask(&format!("/v1/lookup?addresses={MAC}")), "200");
    wait_metric(&daemon, "exchanges_seen_total{seen_by=\"sight\"}", 1.0, SOON);
    assert_eq!(seen(&ironic, "/v1/lookup").len(), 1);
    // What it reads is known by its mounts.
    let reads = |state: &Value| state["place"]["reads_it"] == "no";
    daemon.wait_state("its directory is its own", LATER, reads).unwrap();
    assert!(Path::new(&format!("/proc/{}", ipa.child.id())).exists(), "nothing was done to it");
}
