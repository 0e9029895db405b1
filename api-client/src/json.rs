//! JSON of others, read by parts: what is not wanted is passed over and takes no memory, however large the document is.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Declares what is read of a JSON object: each field as it stands, where it is there and not null.
#[macro_export]
macro_rules! parts {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, Default)]
        struct $name<'a> {
            $(#[serde(borrow)] $field: Option<&'a serde_json::value::RawValue>,)+
        }
    };
}
/// A part as this type; `None` where it is another.
pub fn read<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Option<T> {
    serde_json::from_str(part.get()).ok()
}

/// A string, borrowed where nothing in it is escaped.
pub fn text(part: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    read::<Text>(part).map(|Text(text)| text)
}
