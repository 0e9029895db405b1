//! The guard between the real ironic-python-agent and the real Ironic, and between the seed's agent and Ironic.
//! Each test prints what it measured.

mod dual_stack;
mod fail_open;
mod lab;
mod old;
mod pass_through;
mod seed;
