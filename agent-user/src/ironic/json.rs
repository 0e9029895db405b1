//! JSON of others, read by parts: what is not wanted is passed over and takes no memory, however large the document is.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A part as this type; `None` where it is another.
pub(super) fn read<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Option<T> {
    serde_json::from_str(part.get()).ok()
}

/// A string, borrowed where nothing in it is escaped.
pub(super) fn text(part: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    read::<Text>(part).map(|Text(text)| text)
}
