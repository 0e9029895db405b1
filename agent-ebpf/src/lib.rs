//! The event layout that the BPF programs and user space share. No event exists yet.
#![no_std]
