//! A script as a shell would take it apart. keepalived itself uses none: it looks at quotation marks and blanks.

/// A piece of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Word(String),
    /// `|`, `&&`, `||`, `;` or `&`.
    Operator(String),
    /// `>/dev/null`, `2>&1`, `<file`.
    Redirect(String),
}

/// Takes a command line apart.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(inside) = letters.next() {
                    match inside {
                        _ if inside == letter => break,
                        '\\' if letter == '"' => word.extend(letters.next()),
                        _ => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            // Within a URL they are meant as they are, and keepalived takes them so.
            '|' | '&' | ';' if !word.as_deref().is_some_and(|word| word.contains("://")) => {
                pieces.extend(word.take().map(Piece::Word));
                let mut operator = String::from(letter);
                while letters.peek() == Some(&letter) && operator.len() < 2 {
                    operator.extend(letters.next());
                }
                pieces.push(Piece::Operator(operator));
            }
            '<' | '>' => {
                let before = word.take();
                let mut redirect = match before {
                    Some(number) if number.chars().all(|letter| letter.is_ascii_digit()) => number,
                    other => {
                        pieces.extend(other.map(Piece::Word));
                        String::new()
                    }
                };
                redirect.push(letter);
                while letters.peek().is_some_and(|next| "<>&".contains(*next)) {
                    redirect.extend(letters.next());
                }
                while letters.peek().is_some_and(|next| next.is_whitespace()) {
                    letters.next();
                }
                while letters.peek().is_some_and(|next| !next.is_whitespace() && !"|;".contains(*next)) {
                    redirect.extend(letters.next());
                }
                pieces.push(Piece::Redirect(redirect));
            }
            _ if letter.is_whitespace() => pieces.extend(word.take().map(Piece::Word)),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    pieces.extend(word.map(Piece::Word));
    pieces
}

/// Commands, and the operator before each but the first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub commands: Vec<Vec<String>>,
    pub operators: Vec<String>,
    pub redirects: Vec<String>,
}

/// Sorts the pieces.
pub(super) fn commands(pieces: Vec<Piece>) -> Commands {
    let mut found = Commands { commands: vec![Vec::new()], ..Commands::default() };
    for piece in pieces {
        match piece {
            Piece::Word(word) => {
                if let Some(command) = found.commands.last_mut() {
                    command.push(word);
                }
            }
            Piece::Redirect(redirect) => found.redirects.push(redirect),
            Piece::Operator(operator) => {
                found.operators.push(operator);
                found.commands.push(Vec::new());
            }
        }
    }
    // `command &` and `command;` have nothing after them.
    if found.commands.len() > 1 && found.commands.last().is_some_and(Vec::is_empty) {
        found.commands.pop();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let Commands { commands, operators, redirects } = commands(pieces(text));
        let commands: Vec<_> = commands.iter().map(|words| words.join("_")).collect();
        (commands.join(" "), operators.join(" "), redirects.join(" "))
    }

    #[test]
    fn command_lines() {
        for (text, commands, operators, redirects) in [
            ("ss -ltn | grep 80", "ss_-ltn grep_80", "|", ""),
            ("ss -ltn|grep ':80 '", "ss_-ltn grep_:80 ", "|", ""),
            ("killall -0 x >/dev/null 2>&1", "killall_-0_x", "", ">/dev/null 2>&1"),
            ("a && b || exit 1; c", "a b exit_1 c", "&& || ;", ""),
            ("curl -f http://h/?a=1&b=2 && x", "curl_-f_http://h/?a=1&b=2 x", "&&", ""),
            ("</dev/tcp/127.0.0.1/80", "", "", "</dev/tcp/127.0.0.1/80"),
            ("< /dev/tcp/127.0.0.1/80", "", "", "</dev/tcp/127.0.0.1/80"),
            ("sh -c \"a \\\"b\\\" 'c'\"", "sh_-c_a \"b\" 'c'", "", ""),
            ("x &", "x", "&", ""),
            ("'unclosed", "unclosed", "", ""),
            ("", "", "", ""),
        ] {
            let expected = (commands.to_owned(), operators.to_owned(), redirects.to_owned());
            assert_eq!(parts(text), expected, "{text}");
        }
    }
}
