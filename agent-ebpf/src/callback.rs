//! What the conductor's call-back is known by.

use aya_ebpf::Global;

/// The advertised port; 0 matches nothing.
#[unsafe(no_mangle)]
pub static PORT: Global<u16> = Global::new(0);
