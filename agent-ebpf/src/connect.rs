//! cgroup/connect4 and cgroup/connect6: this namespace's connects to the API go to the guard, as long as it stamps.

use core::ptr::{read_volatile, write_volatile};

use agent_ebpf::redirect::{Endpoint, MAPPABLE, ORIGINALS, Original, STAMP_LIFETIME, Settings, Words};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::macros::{cgroup_sock_addr, map};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::SockAddrContext;

use crate::{kernel, output};

#[map]
static REDIRECT: Array<Settings> = Array::with_max_entries(1, MAPPABLE);
#[map]
static REDIRECTED: Array<Original> = Array::with_max_entries(ORIGINALS, MAPPABLE);

/// The connect goes on, redirected or not: these programs never refuse one.
const GO_ON: i32 = 1;
/// 127.0.0.1 as it stands in a socket address.
const LOOPBACK: u32 = u32::from_ne_bytes([127, 0, 0, 1]);
/// What stands before an IPv4 address that is mapped into IPv6.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// The program for IPv4.
#[cgroup_sock_addr(connect4)]
pub fn connect4(context: SockAddrContext) -> i32 {
    let _ = try_connect4(&context);
    GO_ON
}

/// The program for IPv6, whose sockets reach a listener of IPv4 by its mapped address.
#[cgroup_sock_addr(connect6)]
pub fn connect6(context: SockAddrContext) -> i32 {
    let _ = try_connect6(&context);
    GO_ON
}

#[inline(always)]
fn try_connect4(context: &SockAddrContext) -> Option<()> {
    let call = context.sock_addr;
    // SAFETY: the kernel passes a valid context; the verifier checks each access to it.
    unsafe {
        let socket = (*call).__bindgen_anon_1.sk;
        if read_volatile(&raw const (*socket).bound_dev_if) != 0
            || read_volatile(&raw const (*socket).src_ip4) != 0
        {
            return None; // Bound to something else than loopback: it could not reach the guard.
        }
        let ip = read_volatile(&raw const (*call).user_ip4);
        let listener = listener(context, Words { high: 0, low: pair(MAPPED, ip) })?;
        write_volatile(&raw mut (*call).user_ip4, LOOPBACK);
        write_volatile(&raw mut (*call).user_port, listener);
    }
    Some(())
}

#[inline(always)]
fn try_connect6(context: &SockAddrContext) -> Option<()> {
    let call = context.sock_addr;
    // SAFETY: as in `try_connect4`.
    unsafe {
        let socket = (*call).__bindgen_anon_1.sk;
        let bound = &raw const (*socket).src_ip6;
        if read_volatile(&raw const (*socket).bound_dev_if) != 0
            || read_volatile(&raw const (*bound)[0]) != 0
            || read_volatile(&raw const (*bound)[1]) != 0
            || read_volatile(&raw const (*bound)[2]) != 0
            || read_volatile(&raw const (*bound)[3]) != 0
        {
            return None;
        }
        let ip = &raw mut (*call).user_ip6;
        let (a, b) = (read_volatile(&raw const (*ip)[0]), read_volatile(&raw const (*ip)[1]));
        let (c, d) = (read_volatile(&raw const (*ip)[2]), read_volatile(&raw const (*ip)[3]));
        let listener = listener(context, Words { high: pair(a, b), low: pair(c, d) })?;
        write_volatile(&raw mut (*ip)[0], 0);
        write_volatile(&raw mut (*ip)[1], 0);
        write_volatile(&raw mut (*ip)[2], MAPPED);
        write_volatile(&raw mut (*ip)[3], LOOPBACK);
        write_volatile(&raw mut (*call).user_port, listener);
    }
    Some(())
}

/// Two words of four bytes as they stand one behind the other in memory (the machine is little-endian).
#[inline(always)]
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// Where a connect to this address is redirected: the listener's port in network byte order. The original is then kept.
#[inline(always)]
fn listener(context: &SockAddrContext, address: Words) -> Option<u32> {
    let call = context.sock_addr;
    let settings = REDIRECT.get_ptr_mut(0)?;
    // SAFETY: the pointers are the context's and the map's; user space writes whole words, and so do we.
    unsafe {
        if read_volatile(&raw const (*call).type_) != u32::from(kernel::SOCK_STREAM)
            || read_volatile(&raw const (*call).protocol) != u32::from(kernel::IPPROTO_TCP)
        {
            return None;
        }
        let cookie = bpf_get_socket_cookie(context.as_ptr());
        let namespace = bpf_get_netns_cookie(context.as_ptr());
        let process = bpf_get_current_pid_tgid() >> 32;
        if cookie == read_volatile(&raw const (*settings).test) {
            write_volatile(&raw mut (*settings).seen_namespace, namespace);
            write_volatile(&raw mut (*settings).seen_process, process);
        } else if namespace != read_volatile(&raw const (*settings).namespace)
            || process == read_volatile(&raw const (*settings).process)
        {
            return None;
        }
        // The stamp is read before the clock: it is never younger than now.
        let stamp = read_volatile(&raw const (*settings).stamp);
        if stamp == 0 || output::now().wrapping_sub(stamp) >= STAMP_LIFETIME {
            return None;
        }
        let dialled = read_volatile(&raw const (*call).user_port);
        let port = u64::from(u16::from_be(dialled as u16));
        if !is_endpoint(settings, &address, port) {
            return None;
        }
        let original = REDIRECTED.get_ptr_mut(cookie as u32 % ORIGINALS)?;
        write_volatile(&raw mut (*original).cookie, 0);
        write_volatile(&raw mut (*original).endpoint, Endpoint { address, port });
        write_volatile(&raw mut (*original).cookie, cookie);
        let listener = read_volatile(&raw const (*settings).listener) as u16;
        Some(u32::from(listener.to_be()))
    }
}

/// # Safety
///
/// `settings` is the map's.
#[inline(always)]
unsafe fn is_endpoint(settings: *const Settings, address: &Words, port: u64) -> bool {
    // SAFETY: the caller's.
    let endpoints = unsafe { &(*settings).endpoints };
    for endpoint in endpoints {
        // SAFETY: a reference is valid; user space may write meanwhile, whole words.
        let (high, low, known) = unsafe {
            (
                read_volatile(&raw const endpoint.address.high),
                read_volatile(&raw const endpoint.address.low),
                read_volatile(&raw const endpoint.port),
            )
        };
        if known == port && low == address.low && high == address.high {
            return true;
        }
    }
    false
}
