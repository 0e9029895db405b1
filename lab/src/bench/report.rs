//! The figures as tables, on the screen and in `docs/benchmarks.md`.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::Context;
use xtask::process;

const FILE: &str = "docs/benchmarks.md";
const HEAD: &str = include_str!("head.md");

/// One figure of the report.
#[derive(Debug, Default)]
pub struct Figure {
    title: &'static str,
    method: String,
    rows: Vec<Row>,
    /// What limits it: printed where an aim is missed.
    limit: &'static str,
}

#[derive(Debug)]
struct Row {
    what: String,
    value: String,
    aim: Option<Aim>,
}

/// What the project aims at, and whether it is so.
#[derive(Debug)]
pub struct Aim {
    words: String,
    met: bool,
}

impl Aim {
    /// `value` is at most `limit`, which `show` formats.
    pub fn at_most(value: f64, limit: f64, show: impl Fn(f64) -> String) -> Self {
        Self { words: format!("at most {}", show(limit)), met: value <= limit }
    }

    /// `value` is at least `limit`.
    pub fn at_least(value: f64, limit: f64, show: impl Fn(f64) -> String) -> Self {
        Self { words: format!("at least {}", show(limit)), met: value >= limit }
    }
}

impl Figure {
    /// With its method.
    pub fn new(title: &'static str, method: impl Into<String>) -> Self {
        Self { title, method: method.into(), ..Self::default() }
    }

    /// One more row.
    pub fn row(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.rows.push(Row { what: what.into(), value: value.into(), aim: None });
    }

    /// One more row, with an aim.
    pub fn aimed(&mut self, what: impl Into<String>, value: impl Into<String>, aim: Aim) {
        self.rows.push(Row { what: what.into(), value: value.into(), aim: Some(aim) });
    }

    /// Why it is not better: printed where an aim is missed.
    pub fn limited_by(&mut self, why: &'static str) {
        self.limit = why;
    }

    /// As markdown.
    pub fn text(&self) -> String {
        self.text_after("")
    }

    /// The same, with a paragraph ahead of the method.
    fn text_after(&self, paragraph: &str) -> String {
        let Self { title, method, rows, limit } = self;
        let mut text =
            format!("\n## {title}\n\n{paragraph}{method}\n\n| | measured | aim |\n|---|---|---|\n");
        let mut missed = String::new();
        for Row { what, value, aim } in rows {
            let aim = aim.as_ref().map_or(String::new(), |Aim { words, met }| {
                if !met {
                    let _ = writeln!(missed, "Missed: {what} is {value}, and the aim is {words}.");
                }
                format!("{words}: {}", if *met { "met" } else { "**missed**" })
            });
            let _ = writeln!(text, "| {what} | {value} | {aim} |"); // Writing to a String does not fail.
        }
        if !missed.is_empty() {
            let _ = write!(text, "\n{missed}");
            if !limit.is_empty() {
                let _ = writeln!(text, "{limit}");
            }
        }
        text
    }
}

/// Writes the report; `load` is the machine's before it began.
///
/// # Errors
/// Where the machine cannot be asked or the file not be written.
pub fn write(figures: &[Figure], load: &str) -> anyhow::Result<()> {
    let mut text = format!("{HEAD}\n{}\n", machine(load)?);
    text.extend(figures.iter().map(Figure::text));
    fs::write(FILE, text).with_context(|| FILE.to_owned())?;
    println!("\n{FILE} is written");
    Ok(())
}

/// Puts figures into the report in place of their old sections, and leaves the others as they are; a new one goes to the
/// end. `load` is the machine's before it began.
///
/// # Errors
/// As [`write()`], and where there is no report.
pub fn replace(figures: &[Figure], load: &str) -> anyhow::Result<()> {
    let date = process::output(Command::new("date").args(["-u", "+%F"]))?;
    let apart = format!(
        "Measured apart on {}, at a load average of {load} when it began; the sections without such a line are of the run \
         above.\n\n",
        date.trim()
    );
    let mut text = fs::read_to_string(FILE).with_context(|| FILE.to_owned())?;
    for figure in figures {
        text = with_section(&text, figure.title, &figure.text_after(&apart));
    }
    fs::write(FILE, text).with_context(|| FILE.to_owned())?;
    println!("\n{FILE} is written");
    Ok(())
}

/// The text with this section instead of the one of that title.
fn with_section(text: &str, title: &str, section: &str) -> String {
    let Some(start) = text.find(&format!("\n## {title}\n")) else { return format!("{text}{section}") };
    let (before, old) = text.split_at(start);
    let after =
        old.get(1..).and_then(|rest| rest.split_once("\n## ")).map(|(_, after)| format!("\n## {after}"));
    format!("{before}{section}{}", after.unwrap_or_default())
}

/// How busy the machine is: the runnable processes of the last minute.
///
/// # Errors
/// Without /proc.
pub fn load() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned())
}

fn machine(load: &str) -> anyhow::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "an unnamed processor".to_owned());
    let count = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    let gibibytes = kilobytes.unwrap_or_default() / (1024 * 1024);
    Ok(format!(
        "Machine: {count} processors of {model}, {gibibytes} GiB, Linux {}, {}, {}. Its load average was {load} when \
         this began: on an idle machine it is near 0, and where it is above {count} others took the processors too, \
         which the upper quartiles and the 99th percentiles show.",
        kernel.trim(),
        first_line(Command::new("ip").arg("-V"))?,
        first_line(Command::new("rustc").arg("-V"))?,
    ))
}

fn first_line(command: &mut Command) -> anyhow::Result<String> {
    let text = process::output(command)?;
    Ok(text.lines().next().unwrap_or_default().trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_own_only() {
        let text = "# Head\n\n## A\n\nold a\n\n## B\n\nold b\n";
        assert_eq!(with_section(text, "A", "\n## A\n\nnew\n"), "# Head\n\n## A\n\nnew\n\n## B\n\nold b\n");
        assert_eq!(with_section(text, "B", "\n## B\n\nnew\n"), "# Head\n\n## A\n\nold a\n\n## B\n\nnew\n");
        assert_eq!(with_section(text, "C", "\n## C\n\nnew\n"), format!("{text}\n## C\n\nnew\n"));
    }

    #[test]
    fn what_is_missed_is_reported() {
        let mut figure = Figure::new("A thing", "How.");
        figure.row("ours", "3 us");
        figure.aimed("ours / floor", "1.20", Aim::at_most(1.2, 1.5, |ratio| format!("{ratio:.1}")));
        figure.limited_by("The kernel is slow.");
        assert!(!figure.text().contains("issed"), "{}", figure.text());
        figure.aimed("process / ours", "100", Aim::at_least(100.0, 200.0, |ratio| format!("{ratio:.0}")));
        let text = figure.text();
        assert!(text.contains("| ours / floor | 1.20 | at most 1.5: met |"), "{text}");
        assert!(
            text.ends_with(
                "\nMissed: process / ours is 100, and the aim is at least 200.\nThe kernel is slow.\n"
            ),
            "{text}"
        );
    }
}
