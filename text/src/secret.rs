//! A value that must never be shown: the agent token.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// What is printed in the place of a secret.
pub const MASK: &str = "******";

/// Text that is wiped from memory when dropped and that no formatter prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Bytes that may hold a secret: whatever memory they were in is wiped, also where they grow or become fewer.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Appends a copy.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        let length = self.0.len() + more.len();
        if length > self.0.capacity() {
            let mut grown = Vec::with_capacity(length.max(self.0.len() * 2));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.extend_from_slice(more);
    }

    /// Keeps the first bytes only.
    pub fn truncate(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            rest.zeroize();
        }
        self.0.truncate(length);
    }
}

impl std::ops::Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatter_shows_it() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "****** ****** ******");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn secret_bytes_grow_and_shrink() {
        let mut bytes = SecretBytes::default();
        for piece in ["hun", "ter", "2 and more"] {
            bytes.extend_from_slice(piece.as_bytes());
        }
        bytes.truncate(7);
        bytes.truncate(99);
        assert_eq!(&*bytes, b"hunter2");
        assert_eq!(format!("{bytes:?}"), "7 secret bytes");
    }
}
