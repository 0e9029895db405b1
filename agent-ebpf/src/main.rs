//! The BPF programs: those of the probes, the guard's redirect, and what sees into libssl. They decide as
//! little as possible: what is a failed connect and whose, which connect is redirected, what looks like a request of IPA's. All else is user space's.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)] // The BPF compiler is a nightly, or acts as one.

mod callback;
mod caller;
mod kernel;
mod output;
mod pending;
mod socket;
mod states;

mod callback_accept;
mod callback_reset;
mod connect;
mod connect_end;
mod connect_exit;
mod error_report;
mod set_state;
mod set_state_typed;
mod tls_calls;
mod tls_flows;
mod tls_request;
mod tls_slots;

/// The licence that the helpers want.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
