//! A command line that makes no sense is answered by one line with the fix.

use std::process::ExitCode;

use clap::error::ErrorKind;

/// The exit code of a command line that makes no sense.
const BAD_USAGE: u8 = 2;

/// Prints help and the version as they are, and an error as one line.
pub fn told(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if asked {
        let shown = error.print();
        return match error.exit_code() {
            0 if shown.is_ok() => ExitCode::SUCCESS,
            _ => ExitCode::from(BAD_USAGE),
        };
    }
    eprintln!("sidetone: {}", line(&error.to_string()));
    ExitCode::from(BAD_USAGE)
}

/// Makes one line of what the parser says: what is wrong, a suggestion where there is one, and where to read on.
fn line(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line =
            line.strip_prefix("error: ").or_else(|| line.strip_prefix("tip: ")).unwrap_or(line);
        let help = line.strip_prefix("For more information, try ").is_some();
        match line.strip_prefix("Usage: ") {
            Some(usage) => {
                let words = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
                let command: Vec<&str> = words.collect();
                parts.push(format!("see: {} --help", command.join(" ")));
            }
            None if line.is_empty() || help => {}
            None => match parts.last_mut().filter(|last| last.ends_with(':')) {
                Some(last) => *last = format!("{last} {line}"),
                None => parts.push(line.to_owned()),
            },
        }
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_and_its_fix_are_on_one_line() {
        let text = "error: unexpected argument '--wva' found\n\n  tip: a similar argument exists: '--wav'\n\n\
                    Usage: sidetone call --to <TO> --wav <FILE>\n\nFor more information, try '--help'.\n";
        let expected = "unexpected argument '--wva' found; a similar argument exists: '--wav'; \
                        see: sidetone call --help";
        assert_eq!(line(text), expected);
        let text = "error: the following required arguments were not provided:\n  --to <TO>\n\n\
                    Usage: sidetone call --to <TO>\n\nFor more information, try '--help'.\n";
        let expected = "the following required arguments were not provided: --to <TO>; \
                        see: sidetone call --help";
        assert_eq!(line(text), expected);
        let text = "error: invalid value 'x' for '--for <LENGTH>': \"x\" is no time\n\n\
                    For more information, try '--help'.\n";
        assert_eq!(line(text), "invalid value 'x' for '--for <LENGTH>': \"x\" is no time");
    }
}
