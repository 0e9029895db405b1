//! Sight: what libssl sends and receives, seen from outside of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

#[cfg(all(feature = "ebpf", target_arch = "x86_64"))]
mod guest;
#[cfg(feature = "ebpf")]
mod lab;
#[cfg(feature = "ebpf")]
mod lost;
#[cfg(feature = "ebpf")]
mod tls;

#[test]
#[cfg(not(feature = "ebpf"))]
fn a_binary_without_the_probes_says_so() {
    let (_, report) = ipa_sidecar::inside::Tls::attach_to(&[]);
    assert!(!report.attached);
    assert_eq!(report.missing.unwrap().reason, ipa_sidecar::inside::ProbeReason::NotBuilt);
}
