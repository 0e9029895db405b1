//! What the BPF programs and user space share: the event, the settings that user space finds out at start, the arrays
//! of the guard's redirect, and the slots of plain text from libssl. Nothing here knows a kernel's layout.
#![no_std]

mod event;
pub mod redirect;
mod settings;
pub mod tls;

pub use event::{COMM_LENGTH, EVENT_LENGTH, Event, RING_BUFFER_LENGTH, kind, sureness};
pub use settings::{ABSENT, Offset};
