//! The argument vector of an `exec:` check, or of a command: words between spaces, quotes around what belongs together. Nothing
//! is expanded and no character is special within quotes, not even a backslash: this is no shell.

use super::values::Wrong;

/// Reads program and arguments.
pub(super) fn split(text: &str) -> Result<Vec<String>, Wrong> {
    let mut argv = Vec::new();
    // None between words: `""` is an argument, a second space is not.
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (_, '\0') => return Err(Wrong::from("has a NUL character, which no argument can have")),
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => argv.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    argv.extend(word);
    match argv.first() {
        _ if quote.is_some() => Err(Wrong::from("has a quote that is not closed")
            .remedy("close it (a semicolon ends a check within quotes, too)")),
        None => Err(names("names no program")),
        Some(program) if !program.starts_with('/') || program.ends_with('/') => {
            Err(names("does not name its program by an absolute path"))
        }
        Some(_) => Ok(argv),
    }
}

fn names(what: &str) -> Wrong {
    Wrong::from(what).remedy("write for example exec:/usr/local/bin/check --quick")
}

/// The text that is read as these arguments.
pub(crate) fn join(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|argument| quoted(argument)).collect();
    words.join(" ")
}

fn quoted(argument: &str) -> String {
    let special = |letter: char| letter.is_whitespace() || letter == '"' || letter == '\'';
    match argument {
        "" => "\"\"".to_owned(),
        _ if !argument.contains(special) => argument.to_owned(),
        _ => format!("\"{}\"", argument.replace('"', r#""'"'""#)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_quotes() {
        for (text, expected) in [
            ("/bin/check", &["/bin/check"][..]),
            ("  /bin/check \t a  b ", &["/bin/check", "a", "b"]),
            (r#"/bin/sh -c "a | 'b' \n""#, &["/bin/sh", "-c", r"a | 'b' \n"]),
            (r#"/bin/echo '"' "" x'y z'"w""#, &["/bin/echo", "\"", "", "xy zw"]),
            ("\"/opt/my checks/one\" $HOME *", &["/opt/my checks/one", "$HOME", "*"]),
        ] {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_joined_is_read_back(
            program in "/[a-z \"']{0,5}[a-z]",
            rest in prop::collection::vec("[a-z \"'\\\\$\t]{0,6}|[^\0]{0,4}", 0..4),
        ) {
            let argv: Vec<String> = [program].into_iter().chain(rest).collect();
            prop_assert_eq!(split(&join(&argv)).unwrap(), argv);
        }
    }
}
