//! The programs on libssl's functions (SSL_write(3), SSL_read(3), SSL_free(3)).

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::{map, uprobe, uretprobe};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::{ProbeContext, RetProbeContext};

use agent_ebpf::tls::{FLOWS, kind};

use crate::tls_flows::{self, Key};
use crate::tls_request;

/// A thread inside SSL_read or SSL_read_ex.
#[repr(C)]
#[derive(Clone, Copy)]
struct Read {
    ssl: u64,
    buffer: u64,
    /// Where SSL_read_ex tells how much it read; 0 for SSL_read, which returns it.
    count: u64,
}

/// By process and thread. The kernel forgets the oldest: a thread that was killed never returns.
#[map]
static TLS_READS: LruHashMap<u64, Read> = LruHashMap::with_max_entries(FLOWS, 0);

/// `int SSL_write(SSL *ssl, const void *buf, int num)`.
#[uprobe]
pub fn tls_write(context: ProbeContext) -> u32 {
    let length = context.arg::<u64>(2).map_or(0, |length| u64::try_from(length as i32).unwrap_or(0));
    let _ = write(&context, length);
    0
}

/// `int SSL_write_ex(SSL *ssl, const void *buf, size_t num, size_t *written)`.
#[uprobe]
pub fn tls_write_ex(context: ProbeContext) -> u32 {
    let _ = write(&context, context.arg(2).unwrap_or(0));
    0
}

/// `int SSL_read(SSL *ssl, void *buf, int num)`.
#[uprobe]
pub fn tls_read(context: ProbeContext) -> u32 {
    let _ = read(&context, 0);
    0
}

/// `int SSL_read_ex(SSL *ssl, void *buf, size_t num, size_t *readbytes)`.
#[uprobe]
pub fn tls_read_ex(context: ProbeContext) -> u32 {
    let _ = read(&context, context.arg(3).unwrap_or(0));
    0
}

/// The return of both.
#[uretprobe]
pub fn tls_read_return(context: RetProbeContext) -> u32 {
    let _ = returned(context.ret::<u64>() as i32);
    0
}

/// `void SSL_free(SSL *ssl)`. Python holds one reference to each.
#[uprobe]
pub fn tls_free(context: ProbeContext) -> u32 {
    let _ = context.arg(0).and_then(|ssl| tls_flows::end(&Key::of(ssl)));
    0
}

#[inline(always)]
fn write(context: &ProbeContext, length: u64) -> Option<()> {
    let (ssl, buffer) = (context.arg(0)?, context.arg(1)?);
    let key = Key::of(ssl);
    let followed = tls_flows::find(&key);
    let head = tls_request::head(buffer, length);
    let asks = tls_request::begins(head) && tls_request::is_of_ipa(buffer, length);
    let flow = match followed {
        Some(flow) => flow,
        None if asks => tls_flows::follow(&key)?,
        None => return None,
    };
    // SAFETY: the flow is the map's.
    unsafe {
        if tls_flows::is_repeated(flow, buffer, length, head) {
            return None;
        }
        if asks {
            tls_flows::allow(flow);
        }
        tls_flows::hand_over(&key, flow, kind::OUT, buffer, length);
    }
    Some(())
}

#[inline(always)]
fn read(context: &ProbeContext, count: u64) -> Option<()> {
    let (ssl, buffer) = (context.arg(0)?, context.arg(1)?);
    tls_flows::find(&Key::of(ssl))?;
    TLS_READS.insert(&bpf_get_current_pid_tgid(), &Read { ssl, buffer, count }, 0).ok()
}

#[inline(always)]
fn returned(result: i32) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: only this thread writes this entry.
    let Read { ssl, buffer, count } = unsafe { *TLS_READS.get(&thread)? };
    TLS_READS.remove(&thread).ok()?;
    if result <= 0 {
        return None;
    }
    let length = if count == 0 {
        u64::from(result.unsigned_abs())
    } else {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user(count as *const u64) }.ok()?
    };
    let key = Key::of(ssl);
    let flow = tls_flows::find(&key)?;
    // SAFETY: the flow is the map's.
    unsafe {
        tls_flows::forget_write(flow);
        tls_flows::hand_over(&key, flow, kind::IN, buffer, length);
    }
    Some(())
}
