//! A command that ends by itself: what it printed, and how it ended.

use std::process::Output;

use serde_json::Value;

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Run {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// Where it is none; the message shows both streams.
    #[allow(clippy::panic)] // As an assertion of a test.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    /// The `problems` of that JSON, as text.
    ///
    /// # Panics
    /// As [`Run::json`].
    pub fn problems(&self) -> String {
        self.json().get("problems").map(Value::to_string).unwrap_or_default()
    }
}
