//! A busybox ramdisk without IPA: late NICs, DHCP, the first heartbeat, trouble, the guard's redirect, and parameters from
//! virtual media.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use testbed::architecture::Architecture;
use testbed::daemon::are_loading;
use testbed::guest::{Boot, Initramfs, Kernel, Machine, SHELL};
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;

use super::guest::{Cost, FORWARDED, Guest, field};
use super::media::Medium;
use super::seed;
use xtask::dist::{self, Release};
use xtask::process;

/// A boot in an emulated machine that others slow down.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the daemon does by itself.
const SOON: Duration = Duration::from_secs(30);
/// The drivers: NICs, the CD drive, what is on a medium.
const MODULES: [&str; 9] = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "ata_piix",
    "sr_mod",
    "isofs",
    "vfat",
    "nls_cp437",
    "nls_ascii",
];
/// Elsewhere the kernel loads it when it is asked whose a connection is; here nothing does.
const DIAG_MODULES: [&str; 1] = ["tcp_diag"];
/// The MAC addresses of the NICs.
const MACS: [&str; 2] = ["52:54:00:12:34:56", "52:54:00:12:34:57"];

/// Builds the release, boots it four times, and says how long everything took.
///
/// # Errors
/// What the ramdisk did not do.
pub fn run() -> anyhow::Result<String> {
    let release = dist::release_here()?;
    let ramdisk = Ramdisk::of(&release)?;
    println!("  {}", ramdisk.two_nics()?);
    println!("  {}", ramdisk.redirect()?);
    for medium in [Medium::Vfat, Medium::Iso9660] {
        println!("  {}", ramdisk.virtual_medium(medium)?);
    }
    Ok(format!("four boots of Linux {}", ramdisk.kernel.version))
}

/// Boots the release for another architecture: the first heartbeat and trouble, and the guard's redirect.
///
/// # Errors
/// What the ramdisk did not do.
pub fn run_for(target: &str) -> anyhow::Result<String> {
    let release = dist::release_for(target)?;
    let ramdisk = Ramdisk::of(&release)?;
    println!("  {}", ramdisk.two_nics()?);
    println!("  {}", ramdisk.redirect()?);
    Ok(format!("two boots of Linux {}", ramdisk.kernel.version))
}

/// Boots this release once, in mode guard and without an Ironic; gives what it uses once its probes are loaded and it was
/// scraped.
///
/// # Errors
/// Where it does not come so far.
pub fn cost(release: &Release) -> anyhow::Result<Cost> {
    let mut guest = Ramdisk::of(release)?.with_guard()?;
    guest.wait_state("the probes", PATIENCE, |state| !are_loading(state))?;
    guest.metrics()?;
    guest.cost()
}

/// As a ramdisk builder would make it: the binary, the script, and a call of it in `/init`.
fn image(release: &Release, architecture: Architecture, kernel: &Kernel) -> anyhow::Result<Initramfs> {
    let initramfs = Initramfs::new_for(architecture, "ramdisk", include_str!("init.sh"))?;
    initramfs.add(&release.binary, "usr/bin/ipa-sidecar")?;
    initramfs.add(&release.directory.join("initramfs/ipa-sidecar"), "sbin/initramfs-ipa-sidecar")?;
    initramfs.add_script("bin/udhcpc-script", include_str!("udhcpc-script.sh"))?;
    initramfs.write("shell", SHELL)?;
    for (list, names) in [("modules/diag", &DIAG_MODULES[..]), ("modules/order", &MODULES)] {
        let mut order = String::new();
        for file in kernel.modules(names)? {
            let name = file.file_name().context("a module has a name")?.to_string_lossy().into_owned();
            initramfs.add(&file, &format!("modules/{name}"))?;
            order.push_str(&name);
            order.push('\n');
        }
        initramfs.write(list, &order)?;
    }
    Ok(initramfs)
}

struct Ramdisk {
    architecture: Architecture,
    kernel: Kernel,
    image: PathBuf,
    netns: Arc<Netns>,
    /// The image is in it, and goes with it.
    _files: Initramfs,
}

impl Ramdisk {
    fn of(release: &Release) -> anyhow::Result<Self> {
        let architecture = release.architecture().context("no guest for this target")?;
        let kernel = Kernel::install_for(architecture, &mut |line| println!("{line}"))?;
        let initramfs = image(release, architecture, &kernel)?;
        let image = initramfs.pack()?;
        Ok(Self { architecture, kernel, image, netns: Arc::new(Netns::new()?), _files: initramfs })
    }

    /// One NIC, mode guard.
    fn with_guard(&self) -> anyhow::Result<Guest> {
        let words = "net.ifnames=0 test.mode=guard ipa-api-url=http://10.0.2.2:6385";
        let mut guest = self.boot(words, &nic(0, true))?;
        guest.machine.wait_console("mode guard: advertise 10.0.2.15 on eth0, ", PATIENCE)?;
        Ok(guest)
    }

    fn boot(&self, words: &str, devices: &[String]) -> anyhow::Result<Guest> {
        let boot = Boot {
            architecture: self.architecture,
            kernel: &self.kernel.image,
            initramfs: &self.image,
            words,
            memory: 256,
            devices,
            netns: Some(&self.netns),
        };
        let mut machine = Machine::start(&boot)?;
        machine.wait_console("userspace after", PATIENCE)?;
        Ok(Guest::forwarded(machine, &self.netns))
    }

    /// The first NIC has the default route, the second the way to the API. Mode agent.
    fn two_nics(&self) -> anyhow::Result<String> {
        let options = Options {
            netns: Some(Arc::clone(&self.netns)),
            require_tls: false,
            macs: MACS.map(str::to_owned).to_vec(),
            ..Options::default()
        };
        let ironic = RealIronic::start(&options)?;
        // The host's loopback, as the guest's second network sees it.
        let words = "net.ifnames=0 test.mode=agent ipa-api-url=http://10.0.3.2:6385";
        let mut guest = self.boot(words, &[nic(0, true), nic(1, false)].concat())?;
        guest.machine.wait_console("mode agent: advertise 10.0.3.15 on eth1, ", PATIENCE)?;
        let ready = guest.wait_ready(PATIENCE)?;
        let url = |address: &str| Some(format!("http://{address}:9999"));
        ensure!(ironic.agent_url()? == url("10.0.3.15"), "Ironic holds {:?}", ironic.agent_url()?);
        guest.wait_state("the second NIC's address", SOON, |state| {
            field(state, "address") == "10.0.3.15" && field(state, "device") == "eth1"
        })?;
        let cost = guest.cost()?;
        self.check_metrics(&guest.metrics()?)?;

        guest.run("nc -w 2 10.0.3.2 1 </dev/null; true")?;
        let labels = "errno=\"ECONNREFUSED\",family=\"inet\",target=\"other\"";
        guest.wait_metric("connect_failures_total", labels, SOON, |count| count >= 1.0)?;
        let path = probe_path(&guest.metrics()?)?;

        guest.machine.set_link("second", false)?;
        guest.wait_metric("advertise_address_valid", "", SOON, |valid| valid == 0.0)?;
        guest.machine.set_link("second", true)?;
        guest.wait_metric("advertise_address_valid", "", SOON, |valid| valid == 1.0)?;
        let state = guest.state()?;
        ensure!(
            field(&state, "address") == "10.0.3.15",
            "a cable out for a moment changed the choice: {state:#}"
        );

        guest.run("killall udhcpc; ip addr del 10.0.3.15/24 dev eth1; ip addr add 10.0.3.77/24 dev eth1")?;
        guest.wait_state("the new address", SOON, |state| field(state, "address") == "10.0.3.77")?;
        // A request that began between the two addresses ends with its own time-out of 30 s first.
        guest.wait_metric("agent_url_stale", "", PATIENCE, |stale| stale == 1.0)?;
        ironic.power_cycle()?;
        guest.machine.wait("the new URL at Ironic", PATIENCE, |_| {
            ironic.agent_url().is_ok_and(|held| held == url("10.0.3.77")).then_some(())
        })?;
        guest.run("initramfs-ipa-sidecar stop; while pidof ipa-sidecar; do sleep 0.1; done")?;
        let userspace = userspace(&guest);
        Ok(format!(
            "two NICs, DHCP, agent: userspace {userspace} s, heartbeat recorded {ready:.1} s after the kernel's start, \
             a failed connect seen by path {path}, {} KiB resident ({} anonymous), {} descriptors; whole boot {:.0} s",
            cost.resident,
            cost.anonymous,
            cost.descriptors,
            guest.machine.age().as_secs_f64()
        ))
    }

    /// A heartbeat of the seed's time is repaired on its way. Mode guard.
    fn redirect(&self) -> anyhow::Result<String> {
        let options = Options {
            netns: Some(Arc::clone(&self.netns)),
            require_tls: false,
            macs: vec![MACS[0].to_owned()],
            ..Options::default()
        };
        let ironic = RealIronic::start(&options)?;
        let mut guest = self.with_guard()?;
        let note = seed::through_the_redirect(&mut guest, &ironic)?;
        let age = guest.machine.age().as_secs_f64();
        Ok(format!("guard: userspace {} s, {note}; whole boot {age:.0} s", userspace(&guest)))
    }

    /// The API URL is on a medium that appears after the daemon. Mode configure.
    fn virtual_medium(&self, medium: Medium) -> anyhow::Result<String> {
        let directory = self.image.parent().context("the image has a directory")?;
        let image = medium.image(directory, "ipa-api-url=http://10.0.2.2:6385 ipa-debug=1\n")?;
        let mut devices = nic(0, true);
        devices.extend([
            "-drive".to_owned(),
            format!("if=ide,media=cdrom,format=raw,readonly=on,file={}", image.display()),
        ]);
        // Nor does a clock that is wrong by years hurt.
        devices.extend(["-rtc".to_owned(), "base=2009-02-03T04:05:06".to_owned()]);
        let mut guest = self.boot("net.ifnames=0 test.mode=configure boot_method=vmedia", &devices)?;
        guest.machine.wait_console("mode configure: advertise 10.0.2.15 on eth0, ", PATIENCE)?;
        let ready = guest.wait_ready(PATIENCE)?;
        let parameters: serde_json::Value =
            serde_json::from_str(&guest.run("ipa-sidecar params --json 2>/dev/null")?)?;
        let mut entries = parameters.as_array().into_iter().flatten();
        let api =
            entries.find(|entry| field(entry, "name") == "ironic.api-url").context("no ironic.api-url")?;
        ensure!(field(api, "source") == "vmedia", "{api:#}");
        let dropin = guest.run("cat /etc/ironic-python-agent.d/zz-ipa-sidecar.conf")?;
        ensure!(dropin.contains("advertise_host = 10.0.2.15"), "{dropin}");
        fs::remove_file(image)?;
        Ok(format!(
            "{} medium, configure: userspace {} s, drop-in there {ready:.1} s after the kernel's start; whole boot {:.0} s",
            medium.name(),
            userspace(&guest),
            guest.machine.age().as_secs_f64()
        ))
    }

    fn check_metrics(&self, text: &str) -> anyhow::Result<()> {
        let file = self.image.with_file_name("metrics");
        fs::write(&file, text)?;
        let script = "promtool check metrics <\"$1\"";
        process::run(std::process::Command::new("sh").args(["-c", script, "sh"]).arg(&file))
    }
}

/// A NIC in a network of its own, 10.0.2.0/24 or 10.0.3.0/24; the host is .2 in it.
fn nic(number: usize, forward: bool) -> Vec<String> {
    let name = if number == 0 { "first" } else { "second" };
    let mac = MACS.get(number).copied().unwrap_or_default();
    let mut back = format!("user,id={name},net=10.0.{}.0/24,ipv6=off", number + 2);
    if forward {
        back.push_str(&format!(",hostfwd=tcp:127.0.0.1:{FORWARDED}-:10099"));
    }
    let front = format!("virtio-net-pci,netdev={name},mac={mac},romfile=");
    ["-netdev".to_owned(), back, "-device".to_owned(), front].to_vec()
}

/// How the probe of connects is attached.
fn probe_path(metrics: &str) -> anyhow::Result<String> {
    let sample = metrics
        .lines()
        .find(|line| line.starts_with("ipa_sidecar_probe_path_info{") && line.contains("probe=\"connect\""));
    let path = sample.and_then(|sample| sample.split("path=\"").nth(1)?.split('"').next());
    path.map(str::to_owned).context("no path of the probe")
}

/// Seconds from the kernel's start to `/init`, as the guest says.
fn userspace(guest: &Guest) -> String {
    let console = guest.machine.console();
    let after = console.split("userspace after ").nth(1).unwrap_or_default();
    after.split(' ').next().unwrap_or_default().to_owned()
}
