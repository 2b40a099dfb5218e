//! A whole document: the root, its verbs, and what was not understood.

use roxmltree::{Node, ParsingOptions};

use crate::{Verb, limits, verb};

/// Why a text is not TwiML, under Twilio's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// 11750, 11770, 12100 or 12102.
    pub code: u32,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl Error {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Something that was read otherwise than written, under Twilio's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// 12200, 13210 and the like.
    pub code: u32,
    /// What is wrong, and what was taken for it.
    pub message: String,
    /// The line, counted from 1.
    pub line: u32,
}

/// The verbs of one document, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What is to be done.
    pub verbs: Vec<Verb>,
    /// What was not understood.
    pub warnings: Vec<Warning>,
}

/// Reads a document.
///
/// # Errors
/// 11750 over 64 kB, 11770 empty, 12100 no XML or over a limit, 12102 no `<Response>`.
pub fn parse(text: &str) -> Result<Document, Error> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Error::new(11770, "the document is empty"));
    }
    limits::check(text)?;
    let options =
        ParsingOptions { nodes_limit: limits::NODES_MAX * 4, ..ParsingOptions::default() };
    let xml = roxmltree::Document::parse_with_options(text, options)
        .map_err(|error| Error::new(12100, error.to_string()))?;
    let root = xml.root_element();
    if root.tag_name().name() != "Response" {
        let name = root.tag_name().name();
        return Err(Error::new(12102, format!("the root is <{name}>, not <Response>")));
    }
    let mut reader = Reader { warnings: Vec::new() };
    let mut verbs = Vec::new();
    for node in root.children() {
        if node.is_element() {
            verbs.extend(verb::read(node, &mut reader));
        } else if node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty()) {
            reader.warn(12200, node, "text between verbs is ignored");
        }
    }
    Ok(Document { verbs, warnings: reader.warnings })
}

/// Gathers warnings while a document is read.
pub(crate) struct Reader {
    warnings: Vec<Warning>,
}

impl Reader {
    pub(crate) fn warn(&mut self, code: u32, node: Node<'_, '_>, message: impl Into<String>) {
        let line = node.document().text_pos_at(node.range().start).row;
        self.warnings.push(Warning { code, message: message.into(), line });
    }

    /// Warns of every attribute that the element does not have.
    pub(crate) fn known(&mut self, node: Node<'_, '_>, names: &[&str]) {
        for attribute in node.attributes() {
            if !names.contains(&attribute.name()) {
                let (verb, name) = (node.tag_name().name(), attribute.name());
                self.warn(12200, node, format!("<{verb}> has no attribute {name}"));
            }
        }
    }

    /// Reads an attribute by `read`; what it refuses is warned of and taken for `default`.
    pub(crate) fn attribute<T>(
        &mut self,
        node: Node<'_, '_>,
        name: &str,
        code: u32,
        default: T,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = node.attribute(name) else { return default };
        read(text.trim()).unwrap_or_else(|| {
            let verb = node.tag_name().name();
            self.warn(code, node, format!("{name}=\"{text}\" of <{verb}> is not valid"));
            default
        })
    }

    /// Reads keys to press: `0-9 A-D # * w W`.
    pub(crate) fn keys(&mut self, node: Node<'_, '_>, name: &str, code: u32) -> Option<String> {
        self.attribute(node, name, code, None, |keys| {
            let valid = |c: char| matches!(c, '0'..='9' | 'A'..='D' | '#' | '*' | 'w' | 'W');
            keys.chars().all(valid).then(|| Some(keys.to_owned()))
        })
    }

    /// Returns an address as it is written; none where it is empty.
    pub(crate) fn reference(&self, node: Node<'_, '_>, name: &str) -> Option<String> {
        let url = node.attribute(name).map(str::trim);
        url.filter(|url| !url.is_empty()).map(str::to_owned)
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(
        &mut self,
        node: Node<'_, '_>,
        name: &str,
        code: u32,
        default: bool,
    ) -> bool {
        self.attribute(node, name, code, default, boolean)
    }

    /// Reads an HTTP method, in upper case.
    pub(crate) fn method(
        &mut self,
        node: Node<'_, '_>,
        name: &str,
        code: u32,
        default: &str,
    ) -> String {
        self.attribute(node, name, code, default.to_owned(), method)
    }
}

/// Reads `true` or `false` in either case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn method(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"].contains(&upper.as_str()).then_some(upper)
}

/// Returns all text below an element, without the space around it.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    let all: String = node
        .descendants()
        .filter(|below| below.is_text())
        .filter_map(|below| below.text())
        .collect();
    all.trim().to_owned()
}
