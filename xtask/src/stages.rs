//! Steps that are timed, all run even when one failed, and listed in a table at the end.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::bail;

use xtask::Missing;

/// What was done so far.
#[derive(Default)]
pub struct Stages {
    rows: Vec<Row>,
    missing: Option<Missing>,
}

struct Row {
    name: String,
    took: Duration,
    failed: bool,
    note: String,
}

impl Stages {
    /// Runs one. Its note stands in the table behind `ok`; the result says whether it went well.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<String>) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        let (took, failed) = (start.elapsed(), result.is_err());
        let note = match result {
            Ok(note) => note,
            Err(error) => {
                println!("{name} failed: {error:#}");
                let note = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                self.missing = self.missing.take().or(error.downcast::<Missing>().ok());
                note
            }
        };
        self.rows.push(Row { name: name.to_owned(), took, failed, note });
        !failed
    }

    /// Prints the table. An error where any stage failed.
    pub fn finish(self) -> anyhow::Result<()> {
        print!("\n{}", self.table());
        if let Some(missing) = self.missing {
            return Err(missing.into());
        }
        let failed: Vec<_> = self.rows.iter().filter(|row| row.failed).map(|row| row.name.as_str()).collect();
        match failed.as_slice() {
            [] => Ok(()),
            names => bail!("{} of {} stages failed: {}", names.len(), self.rows.len(), names.join(", ")),
        }
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max(5);
        let mut text = format!("{:width$}  seconds\n", "stage");
        let mut total = Duration::ZERO;
        for Row { name, took, failed, note } in &self.rows {
            let outcome = if *failed { "FAILED" } else { "ok" };
            let line = format!("{name:width$}  {:7.1}  {outcome:6}  {note}", took.as_secs_f64());
            let _ = writeln!(text, "{}", line.trim_end()); // Writing to a String does not fail.
            total += *took;
        }
        let _ = writeln!(text, "{:width$}  {:7.1}", "total", total.as_secs_f64());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_run_and_any_failure_fails() {
        let mut stages = Stages::default();
        assert!(stages.run("one", || Ok("a note".to_owned())));
        assert!(!stages.run("two", || bail!("broken\nin detail")));
        assert!(stages.run("three", || Ok(String::new())));
        let table = stages.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        assert!(lines[1].starts_with("one ") && lines[1].ends_with("ok      a note"), "{table}");
        assert!(lines[2].ends_with("FAILED  broken"), "{table}");
        assert_eq!(stages.finish().unwrap_err().to_string(), "1 of 3 stages failed: two");
        let mut good = Stages::default();
        good.run("one", || Ok(String::new()));
        assert!(good.finish().is_ok());
    }

    #[test]
    fn what_is_missing_keeps_its_exit_status() {
        let mut stages = Stages::default();
        stages.run("needs", || Err(Missing("no strace".to_owned()).into()));
        stages.run("more", || bail!("broken"));
        assert!(stages.finish().unwrap_err().is::<Missing>());
    }
}
