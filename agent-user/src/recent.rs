//! What is kept to look at: the last few events, each with its moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// So many events of a kind are kept.
const KEPT: usize = 10;

/// A moment. It is shown as the seconds since then: the wall clock of a ramdisk may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(Instant);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.elapsed().as_secs_f64())
    }
}

/// The last events of a kind, oldest first.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Recent<T>(VecDeque<T>);

impl<T> Recent<T> {
    /// Keeps one; the oldest goes where there are too many.
    pub fn push(&mut self, event: T) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter()
    }

    /// The newest.
    pub fn last(&self) -> Option<&T> {
        self.0.back()
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_kept() {
        let mut recent = Recent::default();
        (0..25).for_each(|event| recent.push(event));
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), (15..25).collect::<Vec<_>>());
        assert_eq!(recent.last(), Some(&24));
    }
}
