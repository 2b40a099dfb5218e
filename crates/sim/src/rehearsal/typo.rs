//! Which word may have been meant.

/// Returns `; did you mean …?` where one of these words is near, else nothing.
pub fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(other) => format!("; did you mean `{other}`?"),
        None => String::new(),
    }
}

/// Returns the word that is written most alike, if any is.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.len() / 6;
    let near = known.map(|other| (distance(word, other), other));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, other)| other)
}

/// Counts the letters that are to be put in, taken out, changed or swapped with the next one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (at, letter) in one.iter().enumerate() {
        let mut row = vec![at + 1];
        for (to, meant) in other.iter().enumerate() {
            let mut least = (rows[at][to] + usize::from(letter != meant))
                .min(rows[at][to + 1] + 1)
                .min(row[to] + 1);
            if at > 0 && to > 0 && *letter == other[to - 1] && one[at - 1] == *meant {
                least = least.min(rows[at - 1][to - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_none_that_is_far() {
        let known = ["calls", "presses", "hangs-up", "hears", "hears-not"];
        for (word, expected) in [
            ("cals", "; did you mean `calls`?"),
            ("hangs_up", "; did you mean `hangs-up`?"),
            ("haers", "; did you mean `hears`?"),
            ("hears-nto", "; did you mean `hears-not`?"),
            ("conference", ""),
        ] {
            assert_eq!(suggestion(word, known.into_iter()), expected, "{word}");
        }
    }
}
