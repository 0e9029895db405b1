//! The project's own configuration and rules of Prometheus, made quick.

use anyhow::Context;

/// The configuration with every interval at one second.
pub fn every_second(configuration: &str) -> String {
    const INTERVALS: [&str; 4] =
        ["scrape_interval:", "scrape_timeout:", "evaluation_interval:", "refresh_interval:"];
    let quick = |line: &str| {
        let end = INTERVALS.iter().find_map(|key| Some(line.find(key)? + key.len()));
        end.and_then(|end| line.get(..end)).map_or_else(|| line.to_owned(), |start| format!("{start} 1s"))
    };
    configuration.lines().map(|line| quick(line) + "\n").collect()
}

/// The rules with every window and every `for` so much shorter that a minute takes `seconds_per_minute`.
///
/// # Errors
/// Where a duration is not in whole minutes.
pub fn quickened(text: &str, seconds_per_minute: u64) -> anyhow::Result<String> {
    let mut quick = String::new();
    for line in text.lines() {
        let is_comment = line.trim_start().starts_with('#');
        let line = if is_comment { line.to_owned() } else { with_short_durations(line, seconds_per_minute)? };
        quick.push_str(&line);
        quick.push('\n');
    }
    Ok(quick)
}

/// Durations stand behind these, and nothing else does.
const BEFORE_DURATION: [&str; 3] = ["for: ", "offset ", "["];

fn with_short_durations(line: &str, seconds_per_minute: u64) -> anyhow::Result<String> {
    let (mut done, mut rest) = (String::new(), line);
    let next = |text: &str| {
        let ends = BEFORE_DURATION.iter().filter_map(|mark| Some(text.find(mark)? + mark.len()));
        ends.min()
    };
    while let Some(at) = next(rest) {
        let (before, after) = rest.split_at(at);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, unit) = after.split_at(digits);
        done.push_str(before);
        if number.is_empty() {
            rest = after; // A word in brackets, in a sentence.
            continue;
        }
        let minutes: u64 = number.parse()?;
        rest = unit
            .strip_prefix('m')
            .with_context(|| format!("a duration that is not in minutes: {}", line.trim()))?;
        done.push_str(&format!("{}s", minutes * seconds_per_minute));
    }
    done.push_str(rest);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_become_a_second() {
        let text = "global:\n  scrape_interval: 15s\n    # refresh_interval: 10s\nrule_files:\n";
        assert_eq!(
            every_second(text),
            "global:\n  scrape_interval: 1s\n    # refresh_interval: 1s\nrule_files:\n"
        );
    }

    #[test]
    fn durations_get_short_and_nothing_else_changes() {
        let quick =
            quickened("  for: 5m\n  expr: increase(a:b:increase10m[10m]) or x offset 2m\n# for: 1m\n", 2);
        assert_eq!(
            quick.unwrap(),
            "  for: 10s\n  expr: increase(a:b:increase10m[20s]) or x offset 4s\n# for: 1m\n"
        );
        assert_eq!(
            quickened("description: has [agent]require_tls", 2).unwrap().trim(),
            "description: has [agent]require_tls"
        );
        assert!(quickened("for: 90s", 2).is_err());
    }
}
