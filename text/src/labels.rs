//! The one macro for closed sets of names: metric labels, JSON words, values of parameters.

/// Declares an enum whose variants have one name each: in metric labels, in JSON and in parameters.
///
/// It gives the enum `ALL` (every variant, in order), `as_str` (its name) and `Serialize` (its name). Where each variant
/// has a second text, `words` gives that: the same for people.
///
/// ```
/// text::labels! {
///     /// Who speaks.
///     pub enum Sender {
///         /// The agent.
///         Agent = "agent",
///         /// The daemon.
///         Daemon = "daemon",
///     }
/// }
/// assert_eq!(Sender::ALL.map(Sender::as_str), ["agent", "daemon"]);
/// ```
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $label:literal $(: $words:literal)?,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility enum $name {
            $($(#[$doc])* $variant,)+
        }

        #[allow(dead_code)] // A private set uses a part of it.
        impl $name {
            /// Every value, in order.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// Every name, in the same order.
            pub const NAMES: [&'static str; [$($label),+].len()] = [$($label),+];

            /// The name in metric labels, JSON and parameters.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }

        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        $crate::labels! { @words $name $($variant $($words)?,)+ }
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

#[cfg(test)]
mod tests {
    crate::labels! {
        /// A set with words.
        enum Fruit {
            /// Red.
            Apple = "apple": "an apple",
            /// Yellow.
            Pear = "pear": "a pear",
        }
    }

    #[test]
    fn names_and_words_stand_in_order() {
        assert_eq!(Fruit::ALL, [Fruit::Apple, Fruit::Pear]);
        assert_eq!(Fruit::ALL.map(Fruit::as_str), ["apple", "pear"]);
        assert_eq!(Fruit::ALL.map(Fruit::words), ["an apple", "a pear"]);
    }
}
