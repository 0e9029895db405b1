//! Which module of a package imports which other one. Modules here are those at the top: the first segment below `src`.
//! Tests do not count, and neither do `lib.rs` and `main.rs`, which import everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, ensure};
use xtask::workspace;

/// From one module to another, with the file of the first such import.
type Edges = BTreeMap<(String, String), String>;

/// Prints the report; gives a line on what was found.
///
/// # Errors
/// Where modules import each other in a circle.
pub fn run() -> anyhow::Result<String> {
    let (members, mut circular) = (workspace::members()?, Vec::new());
    for member in &members {
        let source = workspace::root().join(member).join("src");
        let mut files = Vec::new();
        for file in workspace::files(&source, &["rs"])? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            files.push((file.strip_prefix(&source)?.display().to_string(), text));
        }
        let edges = edges(&files);
        let cycles = cycles(&edges);
        print(member, &edges, &cycles);
        circular.extend(cycles.iter().map(|cycle| format!("{member}: {} modules in a cycle", cycle.len())));
    }
    ensure!(circular.is_empty(), circular.join("; "));
    Ok(format!("{} crates, no cycle", members.len()))
}

fn print(member: &str, edges: &Edges, cycles: &BTreeSet<BTreeSet<&str>>) {
    let mut imports: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        imports.entry(from).or_default().push(to);
    }
    println!("{member}: {} modules import another", imports.len());
    for (from, to) in imports {
        println!("  {from}: {}", to.join(" "));
    }
    for cycle in cycles {
        println!("  cycle of {}: {}", cycle.len(), Vec::from_iter(cycle.iter().copied()).join(" "));
        let within = |one: &String| cycle.contains(one.as_str());
        for ((from, to), file) in edges.iter().filter(|((from, to), _)| within(from) && within(to)) {
            println!("    {from} -> {to} in {file}");
        }
    }
}

/// The edges between the modules of these files: paths below `src`, and texts.
fn edges(files: &[(impl AsRef<str>, impl AsRef<str>)]) -> Edges {
    let module = |file: &str| file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let modules: BTreeSet<_> = files.iter().map(|(file, _)| module(file.as_ref())).collect();
    let is_test = |file: &str| file.ends_with("tests.rs") || file.contains("tests/");
    let (mut edges, files) = (Edges::new(), files.iter().map(|(file, text)| (file.as_ref(), text.as_ref())));
    for (file, text) in files.filter(|(file, _)| !is_test(file) && !["lib.rs", "main.rs"].contains(file)) {
        let from = module(file);
        let depth = Path::new(file.trim_end_matches(".rs").trim_end_matches("/mod")).components().count();
        let imports = at_the_root(&tokens(text), depth).into_iter();
        for to in imports.filter(|to| *to != from && modules.contains(*to)) {
            edges.entry((from.clone(), to.to_owned())).or_insert_with(|| file.to_owned());
        }
    }
    edges
}

/// The first segments of all paths from the crate's root; the tokens are of a module so far below it.
fn at_the_root<'a>(tokens: &[&'a str], below: usize) -> Vec<&'a str> {
    let (mut found, mut rest, mut before) = (Vec::new(), tokens, "");
    while let [token, after @ ..] = rest {
        let mut next = after;
        match rest {
            ["#", "[", "cfg", "(", "test", ")", "]", item @ ..] => next = behind(item),
            ["crate", "::", path @ ..] => segments(path, 0, &mut found),
            ["super", ..] if before != "::" => segments(rest, below, &mut found),
            _ => {}
        }
        (before, rest) = (token, next);
    }
    found
}

/// What comes behind an item.
fn behind<'a, 'b>(item: &'b [&'a str]) -> &'b [&'a str] {
    let mut depth = 0;
    let end = item.iter().position(|token| {
        depth += i32::from("{([".contains(*token)) - i32::from("})]".contains(*token));
        depth == 0 && ["}", ";"].contains(token)
    });
    end.and_then(|end| item.get(end + 1..)).unwrap_or_default()
}

/// The next segment of a path that is so far below the root, or those of a group.
fn segments<'a>(path: &[&'a str], below: usize, found: &mut Vec<&'a str>) {
    match path {
        ["super", "::", rest @ ..] if below > 0 => segments(rest, below - 1, found),
        ["{", group @ ..] => {
            let (mut rest, mut depth, mut starts) = (group, 1, true);
            while let ([token, after @ ..], 1..) = (rest, depth) {
                if starts {
                    segments(rest, below, found);
                }
                depth += i32::from(*token == "{") - i32::from(*token == "}");
                (starts, rest) = (depth == 1 && *token == ",", after);
            }
        }
        [segment, ..] if below == 0 => found.push(segment),
        _ => {}
    }
}

/// Words, `::` and other characters, without comments and literals.
fn tokens(mut text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some(first) = text.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (length, counts) = match passed_over(text) {
            Some(length) => (length, false),
            None if is_word(first) => (text.find(|c| !is_word(c)).unwrap_or(text.len()), true),
            None if text.starts_with("::") => (2, true),
            None => (first.len_utf8(), !first.is_whitespace()),
        };
        found.extend(counts.then(|| text.split_at(length).0));
        text = text.split_at(length).1;
    }
    found
}

/// The length of the comment or literal at the beginning; of a lifetime only its quote.
fn passed_over(text: &str) -> Option<usize> {
    let end = |body: &str, mark: &str| Some(text.len() - body.len() + body.find(mark)? + mark.len());
    let comment = text.starts_with("//").then_some("\n");
    if let Some(mark) = comment.or(text.starts_with("/*").then_some("*/")) {
        return end(text, mark);
    }
    let bare = text.trim_start_matches(['b', 'c']);
    let raw = bare.strip_prefix('r').unwrap_or_default();
    if let Some(body) = raw.trim_start_matches('#').strip_prefix('"') {
        return end(body, &format!("\"{}", "#".repeat(raw.len() - body.len() - 1)));
    }
    let quote = ['"', '\''].into_iter().find(|quote| bare.starts_with(*quote))?;
    let body = bare.get(1..)?;
    if quote == '\'' && !body.starts_with('\\') && body.chars().nth(1) != Some('\'') {
        return Some(text.len() - body.len());
    }
    let mut before = ' ';
    let closing = body.find(|c| {
        before = if before == '\\' { ' ' } else { c };
        before == quote
    });
    Some(text.len() - body.len() + closing? + 1)
}

/// The sets of modules that all reach each other.
fn cycles(edges: &Edges) -> BTreeSet<BTreeSet<&str>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (start, _) in edges.keys() {
        let (seen, mut waiting) = (reached.entry(start).or_default(), vec![start]);
        while let Some(module) = waiting.pop() {
            let next = edges.keys().filter(|(from, _)| from == module).map(|(_, to)| to);
            waiting.extend(next.filter(|to| seen.insert(to)));
        }
    }
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|seen| seen.contains(to));
    let circular = reached.iter().filter(|(one, seen)| seen.contains(*one));
    circular.map(|(one, seen)| seen.iter().copied().filter(|other| reaches(other, one)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> (String, usize) {
        let edges = edges(files);
        let shown: Vec<_> = edges.keys().map(|(from, to)| format!("{from}>{to}")).collect();
        (shown.join(" "), cycles(&edges).len())
    }

    #[test]
    fn a_cycle_is_found() {
        let a = ("a.rs", "use crate::{b::{X, c}, d};");
        let b = ("b/mod.rs", "use super::{d, c::X};");
        let c = ("c.rs", "fn f(x: &'a u8) { crate::a::f('\\'') }");
        assert_eq!(found(&[a, b, c, ("d.rs", "")]), ("a>b a>d b>c b>d c>a".to_owned(), 1));
        let inner = ("b/x.rs", "use super::c; use super::super::a;");
        assert_eq!(found(&[("a.rs", ""), inner, ("c.rs", "")]), ("b>a".to_owned(), 0));
    }

    #[test]
    fn comments_literals_and_tests_do_not_count() {
        let a = "// crate::b\n/* crate::b */ f(\"\\\" crate::b\", r#\"\" crate::b\"#); use crate::c;
            #[cfg(test)] #[path = \"x.rs\"] mod tests { fn f() { crate::b::f() } } use crate::d;";
        let (modules, test) = ([("a.rs", a), ("b.rs", ""), ("c.rs", ""), ("d.rs", "")], "use crate::b;");
        let tests = [("a_tests.rs", test), ("a/tests/x.rs", test), ("lib.rs", test)];
        assert_eq!(found(&[&modules[..], &tests].concat()).0, "a>c a>d");
    }
}
