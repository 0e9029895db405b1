//! A look at the first bytes that a process sends: is it a request of IPA's? User space decides; this keeps the text of
//! everything else out of the slots.

use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated;

/// So much of the request line is looked at; a power of two. An API behind a path has its prefix in it.
const LINE: usize = 128;

/// What comes after the API's root in the requests of IPA's: lookup, heartbeat, continue_inspection, and the
/// vendor_passthru of nodes and drivers up to Mitaka.
const PATHS: [u64; 5] = [
    u64::from_be_bytes(*b"/v1/look"),
    u64::from_be_bytes(*b"/v1/hear"),
    u64::from_be_bytes(*b"/v1/cont"),
    u64::from_be_bytes(*b"/v1/node"),
    u64::from_be_bytes(*b"/v1/driv"),
];

/// The first eight bytes; 0 where there are fewer.
#[inline(always)]
pub fn head(buffer: u64, length: u64) -> u64 {
    if length < 8 {
        return 0;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(buffer as *const u64) }.map_or(0, u64::from_be)
}

/// Whether a request begins with this head.
#[inline(always)]
pub fn begins(head: u64) -> bool {
    head >> 24 == u64::from_be_bytes(*b"\0\0\0GET /") || head >> 16 == u64::from_be_bytes(*b"\0\0POST /")
}

/// Whether its path looks like one of IPA's.
#[inline(always)]
pub fn is_of_ipa(buffer: u64, length: u64) -> bool {
    let mut line = [0_u8; LINE];
    // Bits, where a comparison would not show the verifier of older kernels how long it is.
    let length = if length >= LINE as u64 { LINE as u64 } else { length & (LINE as u64 - 1) };
    // SAFETY: the line has at least this length; the helper checks the other address.
    let result = unsafe {
        generated::bpf_probe_read_user(line.as_mut_ptr().cast(), length as u32, buffer as *const _)
    };
    if result != 0 {
        return false;
    }
    let mut window = 0_u64;
    for byte in line {
        if byte == b'\r' {
            return false;
        }
        window = window << 8 | u64::from(byte);
        if PATHS.contains(&window) {
            return true;
        }
    }
    false
}
