//! YAML as a tree in which everything knows its line.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};
use text::printable;

use super::ConfigError;

/// No web configuration is nested deeper (http_server_config, headers, a header).
const DEPTH: usize = 8;

/// A value.
#[derive(Debug)]
pub struct Node {
    /// The line that it begins in, counted from 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a value can be.
#[derive(Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(Key, Node)>),
}

/// The name of a field.
#[derive(Debug)]
pub struct Key {
    /// The line that it stands in, counted from 1.
    pub line: usize,
    /// The name.
    pub name: String,
}

impl Key {
    /// What is wrong with this field.
    pub fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.line, problem)
    }

    /// It is none of these.
    pub fn unknown(&self, known: &[&str]) -> ConfigError {
        self.error(format!("unknown field \"{}\": wanted one of {}", printable(&self.name), known.join(", ")))
    }
}

impl Node {
    /// Every field of a map; nothing where it is empty. `name` is the field that it is the value of.
    ///
    /// # Errors
    /// Another type.
    pub fn fields(&self, name: &str) -> Result<&[(Key, Self)], ConfigError> {
        match &self.value {
            Value::Map(fields) => Ok(fields),
            Value::Null => Ok(&[]),
            _ => Err(self.wrong_type(name, "fields with values")),
        }
    }

    /// A text; `None` where it is empty.
    ///
    /// # Errors
    /// Another type.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match &self.value {
            Value::Text(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Value::Null => Ok(None),
            _ => Err(self.wrong_type(name, "a text")),
        }
    }

    /// A list of texts with their lines.
    ///
    /// # Errors
    /// Another type.
    pub fn texts(&self, name: &str) -> Result<Vec<(usize, &str)>, ConfigError> {
        let items = match &self.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            _ => return Err(self.wrong_type(name, "a list of texts")),
        };
        let text = |item: &'_ Self| match &item.value {
            Value::Text(_) => Ok(()),
            _ => Err(item.wrong_type(name, "a list of texts")),
        };
        items.iter().try_for_each(text)?;
        Ok(items.iter().filter_map(|item| Some((item.line, item.as_text()?))).collect())
    }

    /// A truth value, in the words of YAML 1.1; `None` where it is empty.
    ///
    /// # Errors
    /// Another type.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        let wrong = || self.wrong_type(name, "true or false");
        let text = match &self.value {
            Value::Text(text) => text.to_ascii_lowercase(),
            Value::Null => return Ok(None),
            _ => return Err(wrong()),
        };
        match text.as_str() {
            "true" | "yes" | "on" => Ok(Some(true)),
            "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(wrong()),
        }
    }

    fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn wrong_type(&self, name: &str, wanted: &str) -> ConfigError {
        ConfigError::new(self.line, format!("{name} has the wrong type: wanted {wanted}"))
    }
}

/// Reads one document.
///
/// # Errors
/// No YAML, a tag, an alias, a field that is given twice, too deep.
pub fn parse(text: &str) -> Result<Node, ConfigError> {
    let mut events = Events(Parser::new_from_str(text));
    let root = loop {
        match events.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd, line) => return Ok(Node { line, value: Value::Null }),
            (event, line) => break events.node(event, line, 0)?,
        }
    };
    loop {
        match events.next()? {
            (Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::StreamEnd, _) => return Ok(root),
            (_, line) => return Err(ConfigError::new(line, "a second document: wanted one only")),
        }
    }
}

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), ConfigError> {
        let broken = |error: &ScanError| {
            ConfigError::new(error.marker().line(), format!("no valid YAML: {}", printable(error.info())))
        };
        match self.0.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(broken(&error)),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    /// The value that begins with this event.
    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, ConfigError> {
        if depth > DEPTH {
            return Err(ConfigError::new(line, "nested too deeply"));
        }
        let value = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(ConfigError::new(line, "a tag (!...): wanted a plain value"));
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => Value::Null,
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => return Err(ConfigError::new(line, "an alias (*...): wanted the value itself")),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, line) => items.push(self.node(event, line, depth.saturating_add(1))?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, ConfigError> {
        let mut fields: Vec<(Key, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(fields),
                (Event::Scalar(name, _, _, None), line) => Key { line, name: name.into_owned() },
                (_, line) => return Err(ConfigError::new(line, "a field without a name")),
            };
            if fields.iter().any(|(earlier, _)| earlier.name == key.name) {
                return Err(key.error(format!("\"{}\" is given twice", printable(&key.name))));
            }
            let (event, line) = self.next()?;
            fields.push((key, self.node(event, line, depth.saturating_add(1))?));
        }
    }
}
