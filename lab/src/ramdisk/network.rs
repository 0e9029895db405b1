//! A provisioning network with a real Ironic and a DHCP server, and a machine that boots in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use testbed::architecture::Architecture;
use testbed::guest::{Boot, Machine};
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;

use super::guest::{Cost, Guest, field};
use crate::owned::{Killed, Scratch};

/// From power on to the first heartbeat; an idle machine takes one to two minutes.
const PATIENCE: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(60);
const MAC: &str = "52:54:00:12:34:56";
/// The provisioning network: Ironic, and what its DHCP server gives the node.
const IRONIC: &str = "10.77.0.1";
const NODE: &str = "10.77.0.50";

/// All of it.
pub struct Network {
    netns: Arc<Netns>,
    ironic: RealIronic,
    _dhcp: Dhcp,
}

impl Network {
    /// Starts it.
    ///
    /// # Errors
    /// Where the network or Ironic does not start.
    pub fn new() -> anyhow::Result<Self> {
        let netns = Arc::new(Netns::new()?);
        netns.ip_lines(&format!(
            "tuntap add mode tap name tap0\naddr add {IRONIC}/24 dev tap0\nlink set tap0 up"
        ))?;
        let dhcp = Dhcp::start(&netns)?;
        let options = Options {
            bind: IRONIC.parse()?,
            netns: Some(Arc::clone(&netns)),
            macs: vec![MAC.to_owned()],
            ..Options::default()
        };
        Ok(Self { ironic: RealIronic::start(&options)?, netns, _dhcp: dhcp })
    }

    /// Powers a machine on with that kernel and root file system. Its disk is put beside the image.
    fn boot(&self, kernel: &Path, image: &Path) -> anyhow::Result<Guest> {
        let words = format!(
            "net.ifnames=0 systemd.show_status=auto mitigations=off ipa-api-url=http://{IRONIC}:6385 boot_method=pxe"
        );
        // Without a disk IPA waits for one for a minute.
        let disk = image.with_file_name("disk.img");
        std::fs::File::create(&disk)?.set_len(1 << 30)?;
        let drive = format!("file={},if=virtio,format=raw,cache=unsafe", disk.display());
        let front = format!("virtio-net-pci,netdev=n0,mac={MAC},romfile=");
        let devices =
            ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no", "-device", &front, "-drive", &drive];
        let mut devices = devices.map(str::to_owned).to_vec();
        devices.extend(["-device", "virtio-rng-pci"].map(str::to_owned));
        let boot = Boot {
            architecture: Architecture::X86_64,
            kernel,
            initramfs: image,
            words: &words,
            memory: 3072,
            devices: &devices,
            netns: Some(&self.netns),
        };
        let web = std::net::SocketAddr::new(NODE.parse()?, 10099);
        Ok(Guest::at(Machine::start(&boot)?, &self.netns, web))
    }

    /// The URL that Ironic has recorded.
    fn recorded(&self, guest: &mut Guest) -> anyhow::Result<String> {
        let ironic = &self.ironic;
        Ok(guest
            .machine
            .wait("a heartbeat that Ironic records", PATIENCE, |_| ironic.agent_url().ok().flatten())?)
    }

    /// Boots a ramdisk with ipa-sidecar in it, and says how it went.
    ///
    /// # Errors
    /// What the ramdisk did not do.
    pub fn with_sidecar(&self, kernel: &Path, image: &Path) -> anyhow::Result<String> {
        let mut guest = self.boot(kernel, image)?;
        guest
            .machine
            .wait_console(&format!("ipa-sidecar: mode configure: advertise {NODE} on eth0, "), PATIENCE)?;
        let recorded = self.recorded(&mut guest)?;
        let first = guest.uptime()?;
        ensure!(recorded == format!("https://{NODE}:9999"), "Ironic holds {recorded}");
        let dropin = guest.run("cat /etc/ironic-python-agent.d/zz-ipa-sidecar.conf")?;
        let line = format!("advertise_host = {NODE}");
        ensure!(dropin.contains(&line) && !dropin.contains("api_url"), "{dropin}");
        let ready = when(&guest, "ipa-sidecar", "ActiveEnterTimestampMonotonic")?;
        let agent = when(&guest, "ironic-python-agent", "ExecMainStartTimestampMonotonic")?;
        ensure!(ready < agent, "ready {ready:.1} s after the kernel's start, IPA {agent:.1} s");
        self.conductor_calls(&guest)?;
        let seen = sight_saw(&mut guest)?;
        let Cost { resident, anonymous, descriptors, .. } = guest.cost()?;
        let ipa = guest.run("grep VmRSS /proc/$(systemctl show -P MainPID ironic-python-agent)/status")?;
        let ipa = ipa.trim_start_matches("VmRSS:").trim();
        let shown =
            guest.run("systemctl show -P NRestarts ipa-sidecar; journalctl -b -q -p err -u ipa-sidecar")?;
        ensure!(shown.trim() == "0", "restarts, or errors in its log: {shown}");
        Ok(format!(
            "with ipa-sidecar: ready {ready:.1} s after the kernel's start, IPA started {agent:.1} s, first heartbeat \
             recorded {first:.1} s; {seen}; {resident} KiB resident ({anonymous} anonymous) beside IPA's {ipa}, {descriptors} \
             descriptors"
        ))
    }

    /// As the conductor's client does: the recorded URL, and the certificate that came with the heartbeat as the only
    /// authority.
    fn conductor_calls(&self, guest: &Guest) -> anyhow::Result<()> {
        let certificate = self.ironic.agent_certificate()?;
        let mut curl = self.netns.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "30", "--cacert"]).arg(&certificate);
        let output = curl.arg(format!("https://{NODE}:9999/v1/status")).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the conductor's way to IPA: {said}");
        ensure!(String::from_utf8_lossy(&output.stdout).contains("started_at"), "no status of IPA's");
        guest.wait_metric("callback_connections_total", "", SOON, |count| count >= 1.0)
    }

    /// Boots a ramdisk that lacks our binary: IPA must not notice.
    ///
    /// # Errors
    /// What the ramdisk did not do.
    pub fn without_sidecar(&self, kernel: &Path, image: &Path) -> anyhow::Result<String> {
        let mut guest = self.boot(kernel, image)?;
        let recorded = self.recorded(&mut guest)?;
        let first = guest.uptime()?;
        let state = guest.run("systemctl is-active ipa-sidecar; true")?;
        ensure!(state.trim() == "inactive", "without its binary the unit is {state}");
        Ok(format!(
            "without its binary: IPA's first heartbeat recorded {first:.1} s after the kernel's start, {recorded}"
        ))
    }
}

/// IPA's lookup and its first heartbeat were seen with nothing in their way, and all is well.
fn sight_saw(guest: &mut Guest) -> anyhow::Result<String> {
    for (metric, labels) in [
        ("lookup_attempts_total", "result=\"ok\",sender=\"ipa\""),
        ("heartbeats_total", "result=\"accepted\",sender=\"ipa\""),
    ] {
        guest.wait_metric(metric, labels, SOON, |count| count >= 1.0)?;
    }
    let count = |seen_by: &str| guest.metric("exchanges_seen_total", &format!("seen_by=\"{seen_by}\""));
    let (sight, guard) = (count("sight")?, count("guard")?);
    ensure!(sight >= 2.0 && guard == 0.0, "seen by sight: {sight}, by the guard: {guard}");
    guest.wait_ready(SOON)?;
    let state = guest.state()?;
    let (guard, sight_state) = (field(&state, "guard"), field(&state, "sight"));
    ensure!(field(guard, "listening").is_null(), "the guard listens: {guard:#}");
    ensure!(field(field(&state, "passed_by"), "why").is_null(), "IPA bypasses ipa-sidecar: {state:#}");
    let https = field(field(sight_state, "tls"), "attached");
    Ok(format!("{sight} exchanges seen by sight (probes on libssl attached: {https}), no guard, ready"))
}

/// Seconds from the kernel's start to what systemd noted.
fn when(guest: &Guest, unit: &str, property: &str) -> anyhow::Result<f64> {
    let text = guest.run(&format!("systemctl show -P {property} {unit}"))?;
    let micros: f64 = text.trim().parse().with_context(|| format!("{property} of {unit}: {text}"))?;
    Ok(micros / 1e6)
}

/// busybox's DHCP server in the namespace.
struct Dhcp {
    _server: Killed,
    _scratch: Scratch,
}

impl Dhcp {
    fn start(netns: &Netns) -> anyhow::Result<Self> {
        let scratch = Scratch::new("dhcp")?;
        let directory = scratch.path();
        let (leases, file) = (directory.join("leases"), directory.join("udhcpd.conf"));
        std::fs::write(&leases, "")?;
        let text = format!(
            "interface tap0\nstart {NODE}\nend {NODE}\nlease_file {}\npidfile {}\nopt subnet 255.255.255.0\nopt lease 3600\n",
            leases.display(),
            directory.join("pid").display()
        );
        std::fs::write(&file, text)?;
        let mut command = netns.command("busybox");
        let child = command.args(["udhcpd", "-f"]).arg(&file).spawn().context("busybox udhcpd")?;
        Ok(Self { _server: Killed(child), _scratch: scratch })
    }
}
