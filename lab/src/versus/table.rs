//! The table of all rows, for a terminal and as Markdown.

use std::fmt::Write;

use super::outcome::{Beside, Outcome, Verdict, compare};
use super::schedule::{Schedule, Setting};

/// One schedule in one setting.
pub struct Row {
    /// What happened.
    pub schedule: Schedule,
    /// With which Ironic.
    pub setting: Setting,
    /// The runs, bare first.
    pub runs: Vec<(Beside, Vec<Outcome>)>,
}

impl Row {
    /// How each mode stands beside bare.
    pub fn verdicts(&self) -> impl Iterator<Item = (Beside, Verdict)> {
        let bare = self.runs.iter().find(|(beside, _)| *beside == Beside::Nothing);
        let ours = self.runs.iter().filter(|(beside, _)| *beside != Beside::Nothing);
        ours.filter_map(move |(beside, runs)| {
            let excepted = *beside == Beside::Guard && self.schedule.excepts_the_guard();
            match compare(&bare?.1, runs) {
                Verdict::Worse if excepted => Some((*beside, Verdict::Excepted)),
                verdict => Some((*beside, verdict)),
            }
        })
    }

    /// Whether some mode is worse than bare.
    pub fn is_worse(&self) -> bool {
        self.verdicts().any(|(_, verdict)| verdict == Verdict::Worse)
    }

    /// Its line of the table.
    pub fn line(&self) -> String {
        let Setting { https, require_tls, auto_tls } = self.setting;
        let (scheme, on) = (if https { "https" } else { "http" }, |on| if on { "on" } else { "off" });
        let mut line =
            format!("| {} | {scheme} | {} | {} |", self.schedule.name, on(require_tls), on(auto_tls));
        for (beside, runs) in &self.runs {
            let verdict = self.verdicts().find(|(other, _)| other == beside);
            let word = match verdict {
                Some((_, Verdict::Worse)) => " **worse**",
                Some((_, Verdict::Excepted)) => " **worse, a named exception**",
                Some((_, Verdict::Better)) => " *better*",
                _ => "",
            };
            let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
            let _ = write!(line, " {}{word} |", runs.join(", ")); // Writing to a String does not fail.
        }
        line
    }
}

/// The table, what the schedules are, and a last line that counts.
pub fn text(rows: &[Row]) -> String {
    let mut text = "| schedule | API | require_tls | auto TLS |".to_owned();
    let modes = rows.first().map(|row| row.runs.as_slice()).unwrap_or_default();
    for (beside, _) in modes {
        let _ = write!(text, " {} |", beside.name());
    }
    let _ = write!(text, "\n|{}\n", "---|".repeat(4 + modes.len()));
    for row in rows {
        let _ = writeln!(text, "{}", row.line());
    }
    let _ = write!(text, "\n| schedule | what happens |\n|---|---|\n");
    let mut last = "";
    for row in rows {
        if row.schedule.name != last {
            let _ = writeln!(text, "| {} | {} |", row.schedule.name, row.schedule);
        }
        last = &row.schedule.name;
    }
    text
}

/// The last line.
pub fn count(rows: &[Row]) -> String {
    let all = || rows.iter().flat_map(Row::verdicts);
    let of = |wanted| all().filter(|(_, verdict)| *verdict == wanted).count();
    let (worse, better, excepted) = (of(Verdict::Worse), of(Verdict::Better), of(Verdict::Excepted));
    let (rows, all) = (rows.len(), all().count());
    format!(
        "{rows} rows, {all} comparisons: {worse} worse than bare, {excepted} named exceptions, {better} better"
    )
}

/// What stands above the table in the file.
const HEAD: &str = "# Versus

The real ironic-python-agent and the real Ironic, bare and with ipa-sidecar beside, through the same trouble. Written by
`cargo lab versus --write`.

- **right**: Ironic holds a URL at which IPA answers the conductor, with the certificate that Ironic was given.
- **lost**: the same, but no later heartbeat was accepted.
- **none**: Ironic holds no URL after 60 s, or IPA has given up.
- **wrong**: Ironic holds a URL at which IPA does not answer.

Behind it stand the seconds from IPA's start to the first heartbeat that Ironic accepted, and those from boot. Each cell
has all its runs. Runs are compared sorted: the worst with the worst bare one, and so on. A row that looks worse is run
again twice as often, and only that second round counts.
";

/// Writes the file.
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &std::path::Path, text: &str, count: &str) -> anyhow::Result<()> {
    std::fs::write(path, format!("{HEAD}\n{count}.\n\n{text}"))?;
    Ok(())
}
