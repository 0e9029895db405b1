//! Steps that are timed, all run even when one failed, and listed in a table at the end.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

use xtask::Missing;

/// What was done so far.
pub struct Stages {
    started: Instant,
    rows: Vec<Row>,
    missing: Option<Missing>,
}

struct Row {
    name: String,
    took: Duration,
    failed: bool,
    /// Left on the file system of the build when it ended, in MiB.
    free: u64,
    note: String,
}

impl Default for Stages {
    fn default() -> Self {
        Self { started: Instant::now(), rows: Vec::new(), missing: None }
    }
}

impl Stages {
    /// Runs one. Its note stands in the table behind `ok`; the result says whether it went well.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<String>) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        self.ended(name, start.elapsed(), result)
    }

    /// Runs one that mostly waits, while the others run in their order. It stands behind them in the table.
    pub fn beside(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<String> + Send,
        others: impl FnOnce(&mut Self),
    ) -> bool {
        println!("\n==> {name}, beside the next ones");
        let (took, result) = std::thread::scope(|scope| {
            let beside = scope.spawn(|| {
                let start = Instant::now();
                let result = work();
                (start.elapsed(), result)
            });
            others(self);
            beside.join().unwrap_or_else(|_| (Duration::ZERO, Err(anyhow!("it panicked"))))
        });
        self.ended(name, took, result)
    }

    fn ended(&mut self, name: &str, took: Duration, result: anyhow::Result<String>) -> bool {
        let failed = result.is_err();
        let note = match result {
            Ok(note) => note,
            Err(error) => {
                println!("{name} failed: {error:#}");
                let note = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                self.missing = self.missing.take().or(error.downcast::<Missing>().ok());
                note
            }
        };
        self.rows.push(Row { name: name.to_owned(), took, failed, free: free_disk(), note });
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
        let mut text = format!("{:width$}  seconds  free MiB\n", "stage");
        for Row { name, took, failed, free, note } in &self.rows {
            let outcome = if *failed { "FAILED" } else { "ok" };
            let line = format!("{name:width$}  {:7.1}  {free:8}  {outcome:6}  {note}", took.as_secs_f64());
            let _ = writeln!(text, "{}", line.trim_end()); // Writing to a String does not fail.
        }
        let _ = writeln!(text, "{:width$}  {:7.1}", "total", self.started.elapsed().as_secs_f64());
        text
    }
}

/// What is free where we build, in MiB; 0 where that cannot be asked.
fn free_disk() -> u64 {
    rustix::fs::statvfs(".").map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
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
    fn one_runs_beside_others_and_its_failure_counts() {
        let mut stages = Stages::default();
        let (begin, begun) = std::sync::mpsc::channel();
        let work = move || {
            begun.recv()?; // Comes only while the others run.
            bail!("broken")
        };
        assert!(!stages.beside("slow", work, |stages| {
            assert!(stages.run("quick", || Ok(begin.send(()).map(|()| String::new())?)));
        }));
        assert!(!stages.beside("panics", || panic!("for the test"), |_| ()));
        assert_eq!(stages.finish().unwrap_err().to_string(), "2 of 3 stages failed: slow, panics");
    }

    #[test]
    fn what_is_missing_keeps_its_exit_status() {
        let mut stages = Stages::default();
        stages.run("needs", || Err(Missing("no strace".to_owned()).into()));
        stages.run("more", || bail!("broken"));
        assert!(stages.finish().unwrap_err().is::<Missing>());
    }
}
