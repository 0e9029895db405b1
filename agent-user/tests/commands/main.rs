//! What ends by itself: the commands, the layers of parameters, the reference of the metrics, the corpus of the fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod cli;
mod fuzz_corpus;
mod initramfs;
mod machine;
mod metrics_reference;
mod params_command;
mod params_image;
mod params_layers;
mod params_vmedia;
