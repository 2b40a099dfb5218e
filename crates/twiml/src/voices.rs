//! Twilio's names of voices, and who is meant by them.
//!
//! Source: Twilio, `<Say>`, its lists of voices and languages; Amazon Polly's list of voices.

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// A language tag such as `en-US`.
    pub language: String,
    /// Whether a woman speaks.
    pub woman: bool,
}

/// Spoken where neither voice nor attribute names a language.
const DEFAULT_LANGUAGE: &str = "en-US";
/// Polly's voices by language, women before the bar and men after it.
const POLLY: &[(&str, &str)] = &[
    ("arb", "Zeina|"),
    ("ar-AE", "Hala|Zayd"),
    ("ca-ES", "Arlet|"),
    ("cmn-CN", "Zhiyu|"),
    ("cs-CZ", "Jitka|"),
    ("cy-GB", "Gwyneth|"),
    ("da-DK", "Naja Sofie|Mads"),
    ("de-AT", "Hannah|"),
    ("de-CH", "Sabrina|"),
    ("de-DE", "Marlene Vicki|Hans Daniel"),
    ("en-AU", "Nicole Olivia|Russell"),
    ("en-GB", "Amy Emma|Brian Arthur"),
    ("en-GB-WLS", "|Geraint"),
    ("en-IE", "Niamh|"),
    ("en-IN", "Raveena Aditi Kajal|"),
    ("en-NZ", "Aria|"),
    ("en-SG", "Jasmine|"),
    (
        "en-US",
        "Joanna Kendra Kimberly Salli Ivy Ruth Danielle|Joey Justin Matthew Kevin Stephen Gregory",
    ),
    ("en-ZA", "Ayanda|"),
    ("es-ES", "Conchita Lucia|Enrique Sergio Raul"),
    ("es-MX", "Mia|Andres"),
    ("es-US", "Penelope Lupe|Miguel Pedro"),
    ("fi-FI", "Suvi|"),
    ("fr-BE", "Isabelle|"),
    ("fr-CA", "Chantal Gabrielle|Liam"),
    ("fr-FR", "Celine Céline Lea Léa|Mathieu Remi Rémi"),
    ("is-IS", "Dora Dóra|Karl"),
    ("it-IT", "Carla Bianca|Giorgio Adriano"),
    ("ja-JP", "Mizuki Kazuha Tomoko|Takumi"),
    ("ko-KR", "Seoyeon Jihye|"),
    ("nb-NO", "Liv Ida|"),
    ("nl-BE", "Lisa|"),
    ("nl-NL", "Lotte Laura|Ruben"),
    ("pl-PL", "Ewa Maja Ola|Jacek Jan"),
    ("pt-BR", "Vitoria Vitória Camila|Ricardo Thiago"),
    ("pt-PT", "Ines Inês|Cristiano"),
    ("ro-RO", "Carmen|"),
    ("ru-RU", "Tatyana|Maxim"),
    ("sv-SE", "Astrid Elin|"),
    ("tr-TR", "Filiz Burcu|"),
    ("yue-CN", "Hiujin|"),
];

/// Says who is meant by `voice` and `language`; nobody, where there is no such voice. A voice that has a
/// language of its own speaks it, whatever `language` says.
pub fn speaker(voice: &str, language: &str) -> Option<Speaker> {
    let language = if language.is_empty() { DEFAULT_LANGUAGE } else { language };
    let speaker = |language: &str, woman| Some(Speaker { language: language.to_owned(), woman });
    let lower = voice.to_ascii_lowercase();
    match lower.as_str() {
        "" | "man" => return speaker(language, false),
        "woman" | "alice" => return speaker(language, true),
        _ => {}
    }
    let (kind, name) = voice.split_once('.')?;
    match kind.to_ascii_lowercase().as_str() {
        "polly" => {
            let name = name.split('-').next().unwrap_or_default();
            let is_named = |names: &str| names.split(' ').any(|own| own.eq_ignore_ascii_case(name));
            POLLY.iter().find_map(|(language, names)| {
                let (women, men) = names.split_once('|')?;
                (is_named(women) || is_named(men)).then(|| speaker(language, is_named(women)))?
            })
        }
        "google" => {
            let mut parts = name.split('-');
            let language = format!("{}-{}", parts.next()?, parts.next()?);
            // Google's letters do not tell for sure; these are men in most languages.
            let man = matches!(parts.next_back(), Some("B" | "D" | "I" | "J"));
            speaker(&language, !man)
        }
        _ => None,
    }
}

/// Whether a text has the form of a language tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|octet| octet.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_someone_in_a_language() {
        for (voice, language, expected) in [
            ("man", "", Some(("en-US", false))),
            ("", "de-DE", Some(("de-DE", false))),
            ("woman", "fr", Some(("fr", true))),
            ("alice", "en-GB", Some(("en-GB", true))),
            ("Polly.Joanna", "", Some(("en-US", true))),
            ("polly.hans", "en-US", Some(("de-DE", false))),
            ("Polly.Céline", "", Some(("fr-FR", true))),
            ("Polly.Matthew-Neural", "", Some(("en-US", false))),
            ("Google.pt-BR-Standard-A", "", Some(("pt-BR", true))),
            ("Google.en-GB-Wavenet-B", "", Some(("en-GB", false))),
            ("Google.en-US-Chirp3-HD-Aoede", "", Some(("en-US", true))),
            ("Polly.Nobody", "", None),
            ("Google.", "", None),
            ("robot", "", None),
        ] {
            let expected = expected.map(|(tag, woman)| Speaker { language: tag.to_owned(), woman });
            assert_eq!(speaker(voice, language), expected, "{voice} {language}");
        }
    }

    #[test]
    fn a_tag_is_told_from_a_word() {
        for (text, is) in [
            ("en", true),
            ("en-US", true),
            ("cmn-Hans-CN", true),
            ("english", false),
            ("", false),
            ("en-", false),
            ("e", false),
        ] {
            assert_eq!(is_tag(text), is, "{text}");
        }
    }
}
