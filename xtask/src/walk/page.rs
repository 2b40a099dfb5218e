//! What a page says one types, and what it says one sees.

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The first word after the fence.
    pub language: String,
    /// The rest of that line.
    pub note: String,
    /// The lines between the fences.
    pub text: String,
}

/// Returns the fenced blocks.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let (language, note) = info.split_once(' ').unwrap_or((info, ""));
                let note = note.trim().to_owned();
                open = Some(Block { language: language.to_owned(), note, text: String::new() });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Says whether what was printed is what is expected, line by line; `…` stands for anything.
pub fn alike(expected: &str, printed: &str) -> bool {
    let expected: Vec<&str> = expected.lines().collect();
    let seen: Vec<&str> = printed.lines().collect();
    expected.len() == seen.len()
        && expected.iter().zip(&seen).all(|(pattern, line)| matches(pattern, line))
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(matches("CF… CA…", "CF12 CA34"));
        assert!(matches("{…\"muted\":true,…}", "{\"a\":1,\"muted\":true,\"b\":2}"));
        assert!(!matches("{…\"muted\":true,…}", "{\"a\":1,\"muted\":false,\"b\":2}"));
        assert!(matches("plain", "plain") && !matches("plain", "plainer"));
    }

    #[test]
    fn each_line_has_its_own() {
        assert!(alike("a\nb…\n", "a\nbc\n"));
        assert!(!alike("a\n", "a\nb\n") && !alike("a\nb\n", "b\na\n"));
    }

    #[test]
    fn blocks_are_found_with_their_language_and_note() {
        let found = blocks("text\n```sh terminal\nls\n```\nmore\n```text\na\nb\n```\n");
        let block = |language: &str, note: &str, text: &str| Block {
            language: language.to_owned(),
            note: note.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(found, [block("sh", "terminal", "ls\n"), block("text", "", "a\nb\n")]);
    }
}
