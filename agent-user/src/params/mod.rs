//! The parameters: where they come from, what they mean.
//!
//! Flags go before the environment, the daemon's configuration file, IPA's configuration files, virtual media, the kernel
//! command line and the defaults ([`spec::TABLE`] has every name). A bad value in a layer of its own is an error; one
//! in a layer of others is a `Problem`, and the next layer counts.

mod by_image;
pub mod cmdline;
mod flags;
pub mod ipa_config;
mod ipa_files;
mod kind;
mod layers;
mod load;
mod own_file;
mod places;
mod problem;
mod removed;
pub mod spec;
mod types;
mod value;
pub mod vmedia;

pub use flags::{flags, mode_flag};
pub use layers::Entry;
pub use load::{Loaded, load, load_from, load_with_medium};
pub use places::Places;
pub use problem::{ParamsError, ProblemKind, Source};
pub use types::*;
pub use value::advertise_host;
