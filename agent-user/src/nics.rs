//! The MAC addresses that a lookup names: IPA's choice of NICs (ironic_python_agent, `hardware.py`,
//! `list_network_interfaces`), from netlink.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fib::{Kernel, Link, RtnlError};

use crate::kernel_thread;
use crate::metrics::Metrics;

/// The MACs of this node's NICs, lower case, in the order of the kernel. None where the links cannot be asked for, which
/// the log says.
pub async fn ask(metrics: &Metrics) -> Vec<String> {
    let asked = kernel_thread::ask(|| {
        let mut kernel = Kernel::open()?;
        let macs = macs(&mut kernel);
        macs.map(|macs| (macs, kernel.take_asked()))
    });
    let error = match asked.await {
        Some(Ok((macs, asked))) => {
            metrics.netlink_asked(&asked);
            return macs;
        }
        Some(Err(error)) => error.to_string(),
        None => "no answer in time".to_owned(),
    };
    tracing::warn!(error, "reading the NICs' MAC addresses failed");
    Vec::new()
}

fn macs(kernel: &mut Kernel) -> Result<Vec<String>, RtnlError> {
    let has_device =
        |name: &[u8]| Path::new("/sys/class/net").join(OsStr::from_bytes(name)).join("device").exists();
    Ok(select(&kernel.links()?, has_device))
}

/// Devices with a bus device behind them, bonds, and names that end in `.<digits>` as VLANs do.
fn select(links: &[Link], has_device: impl Fn(&[u8]) -> bool) -> Vec<String> {
    let is_nic = |link: &&Link| {
        let mut parts = link.name.rsplit(|byte| *byte == b'.');
        let id = parts.next().unwrap_or_default();
        let vlan_name = parts.next().is_some() && !id.is_empty() && id.iter().all(u8::is_ascii_digit);
        link.parent.is_some() || link.kind.as_deref() == Some("bond") || vlan_name || has_device(&link.name)
    };
    let mac = |link: &Link| link.permanent_mac.filter(|mac| *mac != [0; 6]).or(link.mac);
    let all: Vec<_> = links.iter().filter(is_nic).filter_map(mac).filter(|mac| *mac != [0; 6]).collect();
    // IPA drops MACs that begin with fa: since 12.0.0; where there is no other, asking by them beats not asking.
    let mut chosen: Vec<_> = all.iter().filter(|mac| mac.first() != Some(&0xfa)).map(text).collect();
    if chosen.is_empty() {
        chosen = all.iter().map(text).collect();
    }
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|mac| seen.insert(mac.clone()));
    chosen
}

fn text(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, mac: [u8; 6]) -> Link {
        Link {
            index: 1,
            name: name.into(),
            alternative_names: Vec::new(),
            up: true,
            carrier: true,
            mac: Some(mac),
            permanent_mac: None,
            kind: None,
            parent: None,
        }
    }

    #[test]
    fn chooses_as_ipa_does() {
        let nic = Link {
            parent: Some("0000:00:03.0".to_owned()),
            permanent_mac: Some([0x52, 0x54, 0, 0, 0, 1]),
            ..link("ens3", [2, 0, 0, 0, 0, 9])
        };
        let bond = Link { kind: Some("bond".to_owned()), ..link("bond0", [2, 0, 0, 0, 0, 2]) };
        let links = [
            link("lo", [0; 6]),
            nic.clone(),
            bond,
            link("eth0.77", [2, 0, 0, 0, 0, 3]),
            link("docker0", [2, 0, 0, 0, 0, 4]),
            link("usb0", [2, 0, 0, 0, 0, 5]),
            Link { parent: Some("x".to_owned()), ..link("virt", [0xfa, 0x16, 0x3e, 0, 0, 1]) },
            nic,
        ];
        let macs = select(&links, |name| name == b"usb0");
        assert_eq!(
            macs,
            ["52:54:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:05"]
        );
        assert_eq!(select(&links[6..7], |_| false), ["fa:16:3e:00:00:01"]);
    }
}
