//! The parameters: flags go before `IPA_FLEET_` variables, those before the configuration file (TOML), and the defaults
//! come last. [`table::TABLE`] has every name.

mod load;
mod problem;
mod table;
mod types;

pub use load::{flags, load, unknown_variables};
pub use problem::ParamsError;
pub use settings::LogFormat;
pub use table::Use;
pub use types::{AuthKind, IronicParameters, Parameters, ReportParameters, SidecarParameters};
