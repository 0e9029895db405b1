//! Where the IPA of this machine reads its configuration.

/// Whether the IPA that runs reads the directory of our drop-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reads {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nobody knows.
    #[default]
    Unknown,
}
