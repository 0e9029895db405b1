//! How a run ended, and which of two ends is worse.

use std::fmt;
use std::time::Duration;

/// Beside what IPA runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    Configure,
    Guard,
}

impl Beside {
    /// Its name: of the mode, or `bare`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare",
            Self::Configure => "configure",
            Self::Guard => "guard",
        }
    }
}

/// How a run ended; the worst first. A wrong URL is worse than none: Ironic keeps it until a power cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Ironic holds a URL at which the conductor does not get IPA's answer.
    Wrong,
    /// Ironic holds no URL.
    Missing,
    /// Ironic holds a URL at which IPA answers, but accepted no further heartbeat.
    Lost,
    /// Ironic holds a URL at which IPA answers.
    Right,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "wrong",
            Self::Missing => "none",
            Self::Lost => "lost",
            Self::Right => "right",
        })
    }
}

/// The end of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub class: Class,
    /// What Ironic holds.
    pub url: Option<String>,
    /// From boot to the first heartbeat that Ironic accepted.
    pub since_boot: Option<Duration>,
    /// From IPA's start to it.
    pub since_ipa: Option<Duration>,
    /// Why it is no better.
    pub note: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.class)?;
        if let (Some(ipa), Some(boot)) = (self.since_ipa, self.since_boot) {
            write!(f, " {:.0}/{:.0} s", ipa.as_secs_f32(), boot.as_secs_f32())?;
        }
        Ok(())
    }
}

/// How the runs with us stand beside the bare ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Worse,
    /// Worse, where that is not promised.
    Excepted,
    /// Worse in a first round, and not in the second.
    Once,
    Same,
    Better,
}

/// Both sorted, the worst is compared with the worst, and so on: one that is worse counts, whatever the others are.
/// IPA draws lots of its own, so that runs of one schedule differ, bare ones too.
pub fn compare(bare: &[Outcome], ours: &[Outcome]) -> Verdict {
    let (bare, ours) = (classes(bare), classes(ours));
    let pairs = || bare.iter().zip(&ours);
    if pairs().any(|(bare, ours)| ours < bare) {
        return Verdict::Worse;
    }
    if pairs().any(|(bare, ours)| ours > bare) { Verdict::Better } else { Verdict::Same }
}

fn classes(outcomes: &[Outcome]) -> Vec<Class> {
    let mut classes: Vec<_> = outcomes.iter().map(|outcome| outcome.class).collect();
    classes.sort_unstable();
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worse_run_makes_the_row_worse() {
        let of = |classes: &[Class]| -> Vec<_> {
            let outcome = |class: &Class| Outcome {
                class: *class,
                url: None,
                since_boot: None,
                since_ipa: None,
                note: String::new(),
            };
            classes.iter().map(outcome).collect()
        };
        let (wrong, none, right) = (Class::Wrong, Class::Missing, Class::Right);
        assert_eq!(compare(&of(&[right, wrong]), &of(&[wrong, right])), Verdict::Same);
        assert_eq!(compare(&of(&[right, wrong]), &of(&[none, right])), Verdict::Better);
        assert_eq!(compare(&of(&[right, right]), &of(&[right, none])), Verdict::Worse);
        assert_eq!(compare(&of(&[none, none]), &of(&[right, wrong])), Verdict::Worse);
    }
}
