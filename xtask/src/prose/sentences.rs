//! How long sentences are.

use std::fmt;

use super::Document;
use super::markdown;

/// More words than this are too many for one sentence. "25 words" is the limit of the UK government's style guide for
/// plain English (GOV.UK, "Content design: writing for GOV.UK").
const LONGEST: usize = 25;

/// A sentence: the line of its block, its words.
pub struct Sentence {
    line: usize,
    text: String,
}

impl Sentence {
    fn words(&self) -> usize {
        self.text.split(' ').filter(|word| word.chars().any(char::is_alphanumeric)).count()
    }

    /// At least a quarter of the words have digits: `right 7/7 s, right 9/9 s`.
    fn is_data(&self) -> bool {
        let numbers = self.text.split(' ').filter(|word| word.contains(|c: char| c.is_ascii_digit())).count();
        self.words() > LONGEST && 4 * numbers >= self.words()
    }
}

/// How many there are and how long they are.
#[derive(Default)]
pub struct Statistics {
    sentences: usize,
    words: usize,
    long: usize,
}

impl Statistics {
    /// Words a sentence.
    pub fn mean(&self) -> f64 {
        ratio(self.words, self.sentences)
    }
}

impl FromIterator<Sentence> for Statistics {
    fn from_iter<I: IntoIterator<Item = Sentence>>(sentences: I) -> Self {
        let mut all = Self::default();
        for sentence in sentences {
            let words = sentence.words();
            all.sentences += 1;
            all.words += words;
            all.long += usize::from(words > LONGEST);
        }
        all
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sentences, mean, long) = (self.sentences, self.mean(), 100.0 * ratio(self.long, self.sentences));
        write!(f, "{sentences} sentences, {mean:.1} words each, {long:.1} % over {LONGEST}")
    }
}

#[allow(clippy::cast_precision_loss)] // Numbers of words.
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The sentences of a document. One or two words are a label, and a row of measured values is no sentence.
pub fn all(document: &str) -> Vec<Sentence> {
    let blocks = markdown::blocks(document);
    let sentences = blocks.iter().flat_map(|block| {
        split(&block.text).into_iter().map(|text| Sentence { line: block.line, text: text.to_owned() })
    });
    sentences.filter(|sentence| sentence.words() > 2 && !sentence.is_data()).collect()
}

/// The sentences of a text: each ends with a stop before a blank.
fn split(text: &str) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(' ') {
        let sentence = text.get(start..at).unwrap_or_default();
        if sentence.trim_end_matches([')', '"']).ends_with(['.', '?', '!']) {
            found.push(sentence);
            start = at + 1;
        }
    }
    found.push(text.get(start..).unwrap_or_default());
    found
}

/// Every sentence that is too long.
pub fn check(document: &Document) -> Vec<String> {
    let long = all(&document.text).into_iter().filter(|sentence| sentence.words() > LONGEST);
    long.map(|one| format!("{}:{}: {} words: {}", document.path, one.line, one.words(), one.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_with_stops_and_code_is_one_word() {
        let text = "One `ipa-sidecar run` works in 1.62 (here.) Two is no longer? Three\n\n| a b | cell of words |\n";
        let found: Vec<_> = all(text).iter().map(|one| (one.text.clone(), one.words())).collect();
        let expected =
            [("One `code` works in 1.62 (here.)", 6), ("Two is no longer?", 4), ("cell of words", 3)];
        let expected = expected.map(|(text, words)| (text.to_owned(), words));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_long_sentence_is_found() {
        let document = Document {
            path: "docs/x.md".into(),
            text: format!("\n{}.\n\nShort one here.\n", "word ".repeat(26)),
        };
        let found = check(&document);
        assert!(found.len() == 1 && found[0].starts_with("docs/x.md:2: 26 words"), "{found:?}");
        let all: Statistics = all(&document.text).into_iter().collect();
        assert_eq!(all.to_string(), "2 sentences, 14.5 words each, 50.0 % over 25");
    }
}
