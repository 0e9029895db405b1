//! The macro for closed sets of names. This crate is published, so it brings no other crate of the workspace with it.

/// Declares an enum whose variants have one name each. It gives the enum `ALL` (every variant, in order), `NAMES`,
/// `as_str` and `Serialize` (its name); where each variant has a second text, `words` gives that: the same for people.
macro_rules! labels {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $label:literal $(: $words:literal)?,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// Every name, in the same order.
            pub const NAMES: [&'static str; [$($label),+].len()] = [$($label),+];

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        labels! { @words $name $($variant $($words)?,)+ }
    };
    (@words $name:ident $($variant:ident $words:literal,)+) => {
        impl $name {
            /// The same for people.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)+
                }
            }
        }
    };
    (@words $name:ident $($variant:ident,)+) => {};
}

pub(crate) use labels;
