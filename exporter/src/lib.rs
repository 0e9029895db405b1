//! What the daemons serve and ask over HTTP: the web server with its configuration file (the YAML of the Prometheus
//! exporter toolkit), TLS of both sides, and HTML in which foreign text stays text.
//!
//! [`bind`] opens a listener, and [`serve`] answers on it with a [`Handler`], behind a [`ConfigFile`] where one
//! is given. [`tls_connector`] makes the other side.

mod accept;
mod answer;
mod basic_auth;
mod config;
mod config_file;
mod files;
mod html;
mod server;
mod tls;

pub use accept::take_connections;
pub use answer::{Answer, page, plain, typed};
pub use config::{ConfigError, WebConfig};
pub use config_file::{ConfigFile, WebConfigError};
pub use files::{read_file, read_opened};
pub use html::{Escaped, Row, ago, facts, paragraph, table, times, took, warning};
pub use server::{BindError, Handler, bind, serve};
pub use tls::{ClientTls, ClientTlsError, server_name, tls_connector, tls_words};
