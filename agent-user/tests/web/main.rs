//! What the daemon serves: metrics, state and page, over TLS and with logins, and the page in a real browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod config;
mod page;
mod served;
mod status;
