//! Measured values and what is reported of them: the median, its quartiles, the 99th percentile.

/// Values of one kind, sorted.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// So many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that this share of the others does not exceed; 0 where there is none.
    pub fn quantile(&self, share: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (self.0.len() as f64 * share) as usize;
        self.0.get(index.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The 99th percentile.
    pub fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// The median, and the quartiles: the extremes tell what else ran on the machine.
    pub fn spread(&self, show: impl Fn(f64) -> String) -> String {
        let [first, median, third] = [0.25, 0.5, 0.75].map(|share| show(self.quantile(share)));
        format!("{median} ({first} to {third})")
    }

    /// The spread of microseconds.
    pub fn times(&self) -> String {
        self.spread(time)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// The ratio of each round, of two lists in the order in which they were measured.
pub fn ratios(ours: &[f64], baseline: &[f64]) -> Samples {
    ours.iter().zip(baseline).map(|(ours, baseline)| ours / baseline).collect()
}

/// Measures both in each round, and gives their values in the order of the rounds. Whichever is first in one round is
/// second in the next.
///
/// # Errors
/// Of a measurement.
pub fn alternate<E>(
    rounds: usize,
    mut one: impl FnMut() -> Result<f64, E>,
    mut other: impl FnMut() -> Result<f64, E>,
) -> Result<(Vec<f64>, Vec<f64>), E> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ones.push(one()?);
            others.push(other()?);
        } else {
            others.push(other()?);
            ones.push(one()?);
        }
    }
    Ok((ones, others))
}

/// Microseconds in the unit that suits them.
pub fn time(microseconds: f64) -> String {
    match microseconds {
        few if few < 1e3 => format!("{few:.1} µs"),
        more if more < 1e6 => format!("{:.2} ms", more / 1e3),
        most => format!("{:.2} s", most / 1e6),
    }
}

/// A duration in microseconds.
pub fn microseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_the_quartiles() {
        let samples: Samples = [3.0, 9.0, 1.0, 2.5, 0.1].into_iter().collect();
        assert_eq!(samples.times(), "2.5 µs (1.0 µs to 3.0 µs)");
        assert_eq!((samples.p99(), samples.count()), (9.0, 5));
        assert_eq!(Samples::default().spread(|value| value.to_string()), "0 (0 to 0)");
        let hundred: Samples = (0..200).map(f64::from).collect();
        assert_eq!(hundred.p99(), 198.0);
    }

    #[test]
    fn rounds_alternate_and_keep_their_order() {
        let order = std::cell::RefCell::new(String::new());
        let note = |name: char| {
            order.borrow_mut().push(name);
            Ok::<_, ()>(order.borrow().len() as f64)
        };
        let (ones, others) = alternate(3, || note('a'), || note('b')).unwrap();
        assert_eq!(order.borrow().as_str(), "abbaab");
        assert_eq!((ones, others), (vec![1.0, 4.0, 5.0], vec![2.0, 3.0, 6.0]));
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!([3.12, 2500.0, 1.5e6].map(time), ["3.1 µs", "2.50 ms", "1.50 s"]);
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]).median(), 3.0);
    }
}
