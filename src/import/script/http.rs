//! `curl` and `wget`.

use super::{Check, name_of};

/// Options of curl with a value, by letter and by name.
const CURL_LETTERS: &str = "moHAuXdwxebcTKYyzrQPtE";
const CURL_NAMES: [&str; 21] = [
    "max-time",
    "connect-timeout",
    "output",
    "header",
    "user-agent",
    "user",
    "request",
    "data",
    "write-out",
    "proxy",
    "retry",
    "retry-delay",
    "cacert",
    "capath",
    "cert",
    "key",
    "resolve",
    "interface",
    "unix-socket",
    "data-raw",
    "connect-to",
];
/// Options of wget with a value.
const WGET_LETTERS: &str = "OTtoUeP";

#[derive(Default)]
struct Request {
    urls: Vec<String>,
    /// Whether a status of 400 and above fails.
    fail: bool,
    insecure: bool,
    host: Option<String>,
    /// Options that change what is asked in a way that the agent does not know.
    strange: Vec<String>,
}

/// Sets a check for the URLs that a command asks. `None`: it does something else than asking URLs.
pub(super) fn request(command: &[String], check: &mut Check) -> Option<()> {
    let request = match name_of(command) {
        "curl" => curl(command),
        _ => wget(command),
    };
    if request.urls.is_empty() || !request.strange.is_empty() {
        return None;
    }
    if request.fail {
        check.settings.push(("OUTRIDER_CHECK_STATUS", "200-399".to_owned()));
    } else {
        check
            .note("without -f curl passes whatever the status is; OUTRIDER_CHECK_STATUS=200-399 looks at it");
    }
    if request.insecure {
        check.settings.push(("OUTRIDER_CHECK_TLS_VERIFY", "false".to_owned()));
    }
    if let Some(host) = request.host {
        check.settings.push(("OUTRIDER_CHECK_HOST_HEADER", host));
    }
    for url in request.urls {
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        // The agent's checks go to this host; a name would have to be looked up first.
        let url = url.replacen("://localhost", "://127.0.0.1", 1);
        let without_path = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        check.target(if without_path { format!("{url}/") } else { url });
    }
    Some(())
}

fn curl(command: &[String]) -> Request {
    let mut request = Request::default();
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--") {
            let value = if CURL_NAMES.contains(&name) { words.next().map(String::as_str) } else { None };
            request.option(name, value.unwrap_or_default());
        } else if let Some(letters) = word.strip_prefix('-') {
            for (index, letter) in letters.char_indices() {
                if CURL_LETTERS.contains(letter) {
                    let rest = letters.get(index + letter.len_utf8()..).unwrap_or_default();
                    let value = if rest.is_empty() { words.next().map_or("", String::as_str) } else { rest };
                    request.option(letter.encode_utf8(&mut [0; 4]), value);
                    break;
                }
                request.option(letter.encode_utf8(&mut [0; 4]), "");
            }
        } else {
            request.urls.push(word.clone());
        }
    }
    request
}

fn wget(command: &[String]) -> Request {
    let mut request = Request { fail: true, ..Request::default() };
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        if word.starts_with("--") {
            request.insecure |= word == "--no-check-certificate";
        } else if let Some(letters) = word.strip_prefix('-') {
            if letters.ends_with(|last| WGET_LETTERS.contains(last)) {
                words.next();
            }
        } else {
            request.urls.push(word.clone());
        }
    }
    request
}

impl Request {
    fn option(&mut self, name: &str, value: &str) {
        match name {
            "f" | "fail" | "fail-with-body" => self.fail = true,
            "k" | "insecure" => self.insecure = true,
            "H" | "header" => match value.split_once(':') {
                Some((header, host)) if header.eq_ignore_ascii_case("host") => {
                    self.host = Some(host.trim().to_owned())
                }
                _ => self.strange.push(name.to_owned()),
            },
            "X" | "request" if matches!(value, "GET" | "HEAD") => {}
            "d" | "data" | "data-raw" | "X" | "request" | "T" | "u" | "user" | "x" | "proxy"
            | "unix-socket" | "resolve" | "connect-to" | "E" | "cert" | "key" | "cacert" | "capath" | "K" => {
                self.strange.push(name.to_owned());
            }
            _ => {}
        }
    }
}
