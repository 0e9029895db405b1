//! Markdown, as far as sentences need it: paragraphs, items and cells as plain text, and the code in them.

/// A stretch of text that sentences do not cross.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The line that it begins on.
    pub line: usize,
    /// Its text. Each piece of code is [`CODE`], and a link is its text.
    pub text: String,
}

/// Stands for a piece of code: one word of a sentence.
pub const CODE: &str = "`code`";

/// The paragraphs, items and cells of a document, without headings and code.
pub fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut fenced) = (Vec::new(), None::<Block>, false);
    for (at, line) in document.lines().enumerate() {
        let (line_number, text) = (at + 1, line.trim());
        if text.starts_with("```") {
            fenced = !fenced;
            blocks.extend(open.take());
        } else if fenced || text.is_empty() || is_apart(text) {
            blocks.extend(open.take());
        } else if text.starts_with('|') {
            blocks.extend(open.take());
            // What semicolons divide in a cell is a list.
            let cells = cells(text).into_iter().flat_map(|cell| {
                let parts: Vec<_> = cell.split("; ").map(str::to_owned).collect();
                parts.into_iter().map(move |text| Block { line: line_number, text })
            });
            blocks.extend(cells.filter(|cell| !cell.text.is_empty()));
        } else if let Some(item) = item(text) {
            blocks.extend(open.take());
            open = Some(Block { line: line_number, text: item.to_owned() });
        } else if let Some(block) = &mut open {
            block.text = format!("{} {text}", block.text);
        } else {
            open = Some(Block { line: line_number, text: text.to_owned() });
        }
    }
    blocks.extend(open);
    for block in &mut blocks {
        block.text = plain(&block.text);
    }
    blocks
}

/// A heading, a rule of a table, a picture, or HTML.
fn is_apart(line: &str) -> bool {
    line.starts_with('#') || line.starts_with("|--") || line.starts_with("![") || line.starts_with('<')
}

/// The text of a list's item.
fn item(line: &str) -> Option<&str> {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = (number.len() < line.len()).then(|| number.strip_prefix(". ")).flatten();
    line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or(numbered)
}

/// The cells of a table's row. A bar in code, or after a backslash, ends none.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell, mut code, mut before) = (Vec::new(), String::new(), false, ' ');
    for c in row.trim_matches('|').chars() {
        code ^= c == '`';
        if c == '|' && !code && before != '\\' {
            cells.push(std::mem::take(&mut cell).trim().to_owned());
        } else {
            cell.push(c);
        }
        before = c;
    }
    cells.push(cell.trim().to_owned());
    cells
}

/// Without marks: code is [`CODE`], links are their texts. Code beside code is one word, also with a comma between.
fn plain(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let coded: String = parts.map(|(at, part)| if at % 2 == 1 { CODE } else { part }).collect();
    let mut out = String::new();
    let mut rest = coded.as_str();
    while let Some((before, link)) = rest.split_once("](") {
        out.push_str(before);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    let out = out.replace(['[', '*'], "");
    let mut words: Vec<&str> = out.split_whitespace().collect();
    words.dedup_by(|next, one| next.trim_end_matches(',') == CODE && one.trim_end_matches(',') == CODE);
    words.join(" ")
}

/// The code of a document, with lines: what stands between backquotes, and the lines of blocks.
pub fn code(document: &str) -> Vec<(usize, &str)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (at, line) in document.lines().enumerate() {
        if line.trim().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((at + 1, line));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (at + 1, code)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_its_paragraphs_items_and_cells() {
        let text = "# Head\n\nOne `a b` `c`\ntwo [three](x.md).\n- item\n  goes on\n1. first\n\n| a | `b|c` |\n|--|--|\n| d | |\n```\nno\n```\n![p](x)\n";
        let found = blocks(text);
        let texts: Vec<_> = found.iter().map(|block| (block.line, block.text.as_str())).collect();
        let expected =
            [(3, "One `code` two three."), (5, "item goes on"), (7, "first"), (9, "a"), (9, CODE), (11, "d")];
        assert_eq!(texts, expected);
        assert_eq!(code("a `b` c\n```\nd e\n```\n"), [(1, "b"), (3, "d e")]);
    }
}
