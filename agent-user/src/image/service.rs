//! What the section `[Service]` of a unit and of its drop-ins says: the commands and their environment (systemd.service(5),
//! systemd.exec(5)). Pure.

use std::borrow::Cow;

use super::words::{LINE_BYTES, Variables, expand, specify, split};

/// The most variables of an environment file.
const VARIABLES: usize = 1024;

/// The lines that count, in their order; an empty one takes those before it back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Service {
    exec_start: Vec<String>,
    environment: Vec<String>,
    environment_files: Vec<String>,
    unset: Vec<String>,
    /// How many bytes they have.
    bytes: usize,
}

impl Service {
    /// Reads the unit's file and its drop-ins, in the order in which systemd reads them.
    pub fn parse<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut service = Self::default();
        for file in files {
            let mut is_service = false;
            for line in logical_lines(file) {
                if line.starts_with('[') {
                    is_service = line == "[Service]";
                } else if let (true, Some((key, value))) = (is_service, line.split_once('=')) {
                    service.take(key.trim(), value.trim());
                }
            }
        }
        service
    }

    fn take(&mut self, key: &str, value: &str) {
        let list = match key {
            "ExecStart" => &mut self.exec_start,
            "Environment" => &mut self.environment,
            "EnvironmentFile" => &mut self.environment_files,
            "UnsetEnvironment" => &mut self.unset,
            _ => return,
        };
        self.bytes += value.len();
        match value {
            "" => list.clear(),
            _ if self.bytes > LINE_BYTES => {} // That starts nothing.
            _ => list.push(value.to_owned()),
        }
    }

    /// The environment files' paths. Where one begins with `-`, it may be missing.
    pub fn environment_files(&self, unit: &str) -> Vec<String> {
        self.environment_files.iter().map(|path| specify(path.trim_start_matches('-'), unit)).collect()
    }

    /// The environment, with the contents of the files, which go before `Environment=`.
    pub fn environment<'a>(&self, unit: &str, files: impl IntoIterator<Item = &'a str>) -> Variables {
        let mut variables = Variables::new();
        let assignments =
            self.environment.iter().flat_map(|line| split(line)).map(|word| specify(&word, unit));
        variables.extend(assignments.filter_map(|word| pair(&word)));
        variables.extend(files.into_iter().flat_map(assigned));
        for word in self.unset.iter().flat_map(|line| split(line)) {
            match pair(&word) {
                Some((name, value)) if variables.get(&name) == Some(&value) => drop(variables.remove(&name)),
                Some(_) => {}
                None => drop(variables.remove(&word)),
            }
        }
        variables
    }

    /// The commands, a list of words each.
    pub fn commands(&self, unit: &str, variables: &Variables) -> Vec<Vec<String>> {
        let commands = self.exec_start.iter().map(|line| {
            let mut words: Vec<_> = split(line).iter().map(|word| specify(word, unit)).collect();
            let program = words.first().map_or("", String::as_str);
            let prefix: String = program.chars().take_while(|first| "@-:+!|".contains(*first)).collect();
            let program = program.trim_start_matches(['@', '-', ':', '+', '!', '|']).to_owned();
            if prefix.contains('@') && words.len() > 1 {
                words.remove(1); // What the process is called.
            }
            if let Some(first) = words.first_mut() {
                *first = program;
            }
            if prefix.contains(':') { words } else { expand(words, variables) }
        });
        commands.collect()
    }
}

/// Lines that end in a backslash go on in the next one; comments within them count for nothing.
fn logical_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut whole = String::new();
        for line in lines.by_ref() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            match line.strip_suffix('\\') {
                Some(part) => {
                    whole.push_str(part);
                    whole.push(' ');
                }
                None => {
                    if whole.is_empty() {
                        return Some(Cow::Borrowed(line));
                    }
                    whole.push_str(line);
                    return Some(Cow::Owned(whole));
                }
            }
        }
        (!whole.is_empty()).then_some(Cow::Owned(whole))
    })
}

/// `NAME=value`.
pub(super) fn pair(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// The assignments of an environment file: shell-like, without variables in them.
pub(super) fn assigned(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = logical_lines(text).filter_map(|line| {
        let (name, value) = line.split_once('=').filter(|_| line.len() <= LINE_BYTES)?;
        let value = value.trim();
        let value = match value.starts_with(['"', '\'']) {
            true => split(value).into_iter().next().unwrap_or_default(),
            false => value.to_owned(),
        };
        Some((name.trim().to_owned(), value))
    });
    pairs.take(VARIABLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "a.service";

    fn variables(service: &Service, files: &[&str]) -> Vec<String> {
        let variables = service.environment(UNIT, files.iter().copied());
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_drop_in_adds_and_an_empty_line_takes_back() {
        let unit = "[Unit]\nExecStart=/no\n[Service]\n# ExecStart=/no\nEnvironment=A=1 \"B=2 3\"\nExecStart=/bin/one \\\n  x \\\n\
                    # no\n  y\n[Install]\nExecStart=/no\n";
        let service = Service::parse([unit, "[Service]\nEnvironment=A=4\nEnvironment='C=%n'\n"]);
        assert_eq!(service.commands(UNIT, &Variables::new()), [["/bin/one", "x", "y"]]);
        assert_eq!(variables(&service, &[]), ["A=4", "B=2 3", "C=a.service"]);
        let other = "[Service]\nExecStart=\nEnvironment=\nExecStart=-@/bin/two called z\n";
        let service = Service::parse([unit, other]);
        assert_eq!(service.commands(UNIT, &Variables::new()), [["/bin/two", "z"]]);
        assert!(variables(&service, &[]).is_empty());
    }

    #[test]
    fn files_go_before_and_what_is_unset_is_gone() {
        let service = Service::parse([
            "[Service]\nEnvironment=A=1 B=2 C=3 D=4\nEnvironmentFile=-/etc/a\nEnvironmentFile=%t/b\nUnsetEnvironment=C D=5\n",
        ]);
        assert_eq!(service.environment_files(UNIT), ["/etc/a", "/run/b"]);
        let file = "# A=9\n; A=9\nA = \"x y\" \nnothing\nE=u \\\nv\n";
        assert_eq!(variables(&service, &[file]), ["A=x y", "B=2", "D=4", "E=u  v"]);
    }

    #[test]
    fn variables_stand_in_the_command() {
        let service = Service::parse(["[Service]\nExecStart=/bin/x $ARGS ${ONE}\nExecStart=:/bin/y $ARGS"]);
        let given =
            [("ARGS", "--a b"), ("ONE", "c d")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let commands = service.commands(UNIT, &given.into());
        assert_eq!(commands, [vec!["/bin/x", "--a", "b", "c d"], vec!["/bin/y", "$ARGS"]]);
    }
}
