//! Limits that are checked before the parser does any work.

use crate::Error;

/// Largest document, in octets. Source: Twilio error 11750.
pub const SIZE_MAX: usize = 64 * 1024;
/// Deepest nesting of elements.
pub const DEPTH_MAX: u32 = 32;
/// Most elements.
pub const NODES_MAX: u32 = 1_000;
/// Most attributes of one element.
pub const ATTRIBUTES_MAX: u32 = 64;

/// Counts tags and attributes without understanding them; what it lets pass may still be wrong.
pub(crate) fn check(text: &str) -> Result<(), Error> {
    if text.len() > SIZE_MAX {
        return Err(Error::new(11750, format!("the document is over {SIZE_MAX} octets")));
    }
    let (mut depth, mut nodes) = (0_u32, 0_u32);
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(end) = skip(rest) {
            rest = &rest[end..];
            continue;
        }
        let (end, attributes) = tag_end(rest);
        let tag = &rest[..end];
        rest = &rest[end..];
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
            continue;
        }
        nodes += 1;
        if !tag.ends_with('/') {
            depth += 1;
        }
        if depth > DEPTH_MAX || nodes > NODES_MAX || attributes > ATTRIBUTES_MAX {
            return Err(Error::new(12100, "the document nests too deep or holds too much"));
        }
    }
    Ok(())
}

/// Returns where a comment, a CDATA section or an instruction ends, if one begins here.
fn skip(rest: &str) -> Option<usize> {
    for (open, close) in [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")] {
        if rest.starts_with(open) {
            return Some(rest.find(close).map_or(rest.len(), |at| at + close.len()));
        }
    }
    None
}

/// Returns where a tag ends, outside of quotes, and how many attributes it has.
fn tag_end(rest: &str) -> (usize, u32) {
    let (mut quote, mut attributes) = (None, 0);
    for (at, octet) in rest.bytes().enumerate() {
        match (quote, octet) {
            (None, b'"' | b'\'') => quote = Some(octet),
            (None, b'>') => return (at, attributes),
            (None, b'=') => attributes += 1,
            (Some(open), octet) if open == octet => quote = None,
            _ => {}
        }
    }
    (rest.len(), attributes)
}
