//! What the daemons serve and ask over HTTP: the web server with its configuration file (the YAML of the Prometheus
//! exporter toolkit), TLS of both sides, sheets for people (HTML, console) on which foreign text stays text,
//! and the metrics of the process.
//!
//! [`bind`] opens a listener, and [`serve`] answers on it with a [`Handler`], behind a [`ConfigFile`] where one
//! is given. [`tls_connector`] makes the other side.

mod accept;
mod answer;
mod basic_auth;
mod config;
mod config_file;
mod console;
mod files;
mod html;
mod patient;
mod process;
mod server;
mod sheet;
mod tls;

pub use accept::{Listener, take_connections};
pub use answer::{Answer, page, plain, typed};
pub use config::{ConfigError, WebConfig, yaml};
pub use config_file::{ConfigFile, WebConfigError};
pub use files::{read_file, read_opened};
pub use html::{Escaped, STYLE};
pub use process::{ProcessMetrics, render};
pub use server::{BindError, Handler, bind, serve, serve_up_to};
pub use sheet::{Row, Sheet, ago, facts, heading, list, paragraph, subheading, table, times, took, warning};
pub use tls::{ClientTls, ClientTlsError, server_name, tls_connector, tls_words, utc};
