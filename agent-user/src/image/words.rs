//! The words of a line in a unit file, as systemd reads them (systemd.syntax(7), systemd.service(5) "COMMAND LINES").

use std::collections::BTreeMap;

/// The longest command or environment that is read, in bytes; those of real units have less than 4 KiB.
pub const LINE_BYTES: usize = 16 << 10;

/// Variables, by their names.
pub type Variables = BTreeMap<String, String>;

/// Splits at blanks; quotes keep a word together, a backslash takes the meaning of the next character.
pub fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                let escaped = match characters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('s') => ' ',
                    Some(other) => other,
                    None => '\\',
                };
                word.get_or_insert_default().push(escaped);
            }
            (_, Some(end)) if character == end => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if character.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Puts in what the specifiers of a unit with this name stand for; those that the lines of an agent do not have stay.
pub fn specify(word: &str, unit: &str) -> String {
    let (mut full, mut characters) = (String::new(), word.chars().peekable());
    while let Some(character) = characters.next() {
        let known = match (character, characters.peek()) {
            ('%', Some('%')) => "%",
            ('%', Some('n' | 'N')) => unit,
            ('%', Some('t')) => "/run",
            ('%', Some('E')) => "/etc",
            ('%', Some('h')) => "/root",
            _ => {
                full.push(character);
                continue;
            }
        };
        full.push_str(known);
        characters.next();
    }
    full
}

/// The words of a command with the variables put in: `$NAME` as a word of its own becomes any number of words, `${NAME}`
/// stays within its word, `$$` is a plain `$`. What is too long for a command is left out.
pub fn expand(words: Vec<String>, variables: &Variables) -> Vec<String> {
    let (mut expanded, mut bytes) = (Vec::<String>::new(), 0);
    for word in words {
        let before = expanded.len();
        match word.strip_prefix('$') {
            Some(name) if is_name(name) => {
                expanded.extend(variables.get(name).map(|text| split(text)).unwrap_or_default())
            }
            _ => expanded.push(within(&word, variables)),
        }
        let new = expanded.get(before..).unwrap_or_default();
        bytes += new.iter().map(|word| word.len() + 1).sum::<usize>();
        if bytes > LINE_BYTES {
            expanded.truncate(before);
            break;
        }
    }
    expanded
}

fn within(word: &str, variables: &Variables) -> String {
    let (mut full, mut rest) = (String::new(), word);
    while let Some((before, behind)) = rest.split_once('$')
        && full.len() <= LINE_BYTES
    {
        full.push_str(before);
        let braced = behind.strip_prefix('{').and_then(|name| name.split_once('}'));
        rest = match (behind.strip_prefix('$'), braced) {
            (Some(rest), _) => {
                full.push('$');
                rest
            }
            (None, Some((name, rest))) if is_name(name) => {
                full.push_str(variables.get(name).map_or("", String::as_str));
                rest
            }
            _ => {
                full.push('$');
                behind
            }
        };
    }
    full.push_str(rest);
    full
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_read_as_systemd_reads_them() {
        assert_eq!(
            split(r#"/bin/a  "b c" 'd "e"' f\sg x"y z" """#),
            ["/bin/a", "b c", "d \"e\"", "f g", "xy z", ""]
        );
        assert_eq!(split("  "), [""; 0]);
        assert_eq!(split("a\\"), ["a\\"]);
    }

    #[test]
    fn variables_become_words_or_stay_within_one() {
        let variables =
            [("A", "x y"), ("B", "z")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let words = ["$A", "$B-", "${A}/${B}", "$$A", "${C}", "$C", "$", "${", "$1"].map(str::to_owned);
        let expanded = expand(words.to_vec(), &variables);
        assert_eq!(expanded, ["x", "y", "$B-", "x y/z", "$A", "", "$", "${", "$1"]);
        assert_eq!(specify("%t/%n%%%x%", "a.service"), "/run/a.service%%x%");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(noise in "\\PC{0,60}") {
            let words = split(&noise);
            let _ = expand(words, &Variables::new());
            let _ = specify(&noise, "a.service");
        }
    }
}
