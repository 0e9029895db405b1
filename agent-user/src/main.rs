//! The `ipa-sidecar` binary.
fn main() {}
