//! What the kernel tells of its own types.

use std::path::Path;

use aya::Endianness;

use super::attach::TARGETS;
use super::btf::{self, Btf};
use super::offsets::Offsets;
use super::report::{Reason, Unavailable};

/// Where the types are.
pub const DIRECTORY: &str = "/sys/kernel/btf";

/// The kernel's types, as far as programs want to know them.
#[derive(Debug)]
pub struct Known {
    /// What the programs are attached to. aya keeps ten times the size of what it is given, so it is not given all.
    pub targets: aya::Btf,
    /// Why programs behind trampolines cannot work.
    pub pending: Result<(), Unavailable>,
    /// Why the program on tcp_send_reset cannot work.
    pub packets: Result<(), Unavailable>,
}

impl Known {
    /// Reads them, once.
    ///
    /// # Errors
    /// Where the kernel does not tell them, or has none of what every program reads.
    pub fn read(offsets: &mut Offsets) -> Result<Self, Unavailable> {
        let path = Path::new(DIRECTORY).join("vmlinux");
        let no_btf = |why: String| Unavailable::new(Reason::NoBtf, format!("{}: {why}", path.display()));
        let (found, pending, packets) = {
            let bytes = std::fs::read(&path).map_err(|error| no_btf(error.to_string()))?;
            let btf = Btf::parse(&bytes).map_err(|error| no_btf(error.to_string()))?;
            offsets.read_members(&btf)?;
            (btf.find(&TARGETS), offsets.read_pending(&btf), offsets.read_packets(&btf))
        }; // 5 MiB are given back, before aya wants its own.
        let targets = aya::Btf::parse(&btf::excerpt(&found), Endianness::default());
        Ok(Self { targets: targets.map_err(|error| no_btf(error.to_string()))?, pending, packets })
    }
}
