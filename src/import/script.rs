//! What a check script asks, and how the agent can ask it itself: without a program, several times a second.

mod http;
mod shell;

use crate::config::Target;
use crate::config::argv;
use shell::{Commands, commands, pieces};

/// How the agent asks what a script asks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// Items of OUTRIDER_CHECK, all of which must pass. None: there is no way known.
    pub targets: Vec<String>,
    /// What has to be set besides.
    pub settings: Vec<(&'static str, String)>,
    /// Whether something else than a check asks it.
    pub elsewhere: bool,
    /// What is to be said.
    pub notes: Vec<String>,
}

impl Check {
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn target(&mut self, target: String) {
        if target.contains(';') {
            self.note(
                "OUTRIDER_CHECK cannot hold it: a semicolon ends a check. Put it into a file and write exec:/PATH/OF/THE/FILE",
            );
        } else if let Err(wrong) = target.parse::<Target>() {
            self.note(format!("{target} is no check: it {}", wrong.what));
        } else if !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    fn tcp(&mut self, host: &str, port: u16) {
        let host = match host {
            "localhost" | "0.0.0.0" | "*" => "127.0.0.1",
            host => host,
        };
        self.target(match host.contains(':') && !host.starts_with('[') {
            true => format!("tcp://[{host}]:{port}"),
            false => format!("tcp://{host}:{port}"),
        });
    }
}

/// Ports on which services usually answer.
const SERVICES: [(&str, u16); 32] = [
    ("haproxy", 80),
    ("nginx", 80),
    ("apache2", 80),
    ("httpd", 80),
    ("lighttpd", 80),
    ("caddy", 80),
    ("traefik", 80),
    ("varnishd", 80),
    ("varnish", 80),
    ("pound", 80),
    ("squid", 3128),
    ("kube-apiserver", 6443),
    ("sshd", 22),
    ("ssh", 22),
    ("mysqld", 3306),
    ("mysql", 3306),
    ("mariadbd", 3306),
    ("mariadb", 3306),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("redis-server", 6379),
    ("redis", 6379),
    ("memcached", 11211),
    ("mongod", 27017),
    ("rabbitmq-server", 5672),
    ("slapd", 389),
    ("named", 53),
    ("bind9", 53),
    ("unbound", 53),
    ("dnsmasq", 53),
    ("dovecot", 143),
    ("postfix", 25),
];

const EXEC: &str = "the agent's image has no other program in it: mount this one there, or run the agent outside of a \
                    container. It runs as user 65534 without any capability, and its exit code 0 passes";

/// Finds out what `script` asks.
pub(super) fn check(script: &str) -> Check {
    let mut check = Check::default();
    understand(script, false, &mut check);
    check
}

/// The check for a process called `name`.
pub(super) fn process(name: &str) -> Check {
    let mut check = Check::default();
    of_process(name, &mut check);
    check
}

fn understand(script: &str, in_shell: bool, check: &mut Check) {
    if let Some((host, port)) = dev_tcp(script) {
        if !in_shell {
            check.note("only works where /bin/sh is bash, which opens a connection for it");
        }
        check.tcp(host, port);
        return;
    }
    let found = commands(pieces(script));
    let Some(first) = found.commands.first().filter(|command| !command.is_empty()) else {
        check.note("names no program");
        return;
    };
    if !in_shell {
        without_shell(&found, first, check);
    }
    // Wrapped in another command.
    match (name_of(first), first.as_slice()) {
        ("sh" | "bash" | "dash" | "ash", [_, option, inner, ..]) if option.ends_with('c') => {
            return understand(inner, true, check);
        }
        ("timeout", [_, rest @ ..]) => {
            let options = rest.iter().take_while(|word| word.starts_with('-')).count();
            let rest: Vec<String> = rest.iter().skip(options + 1).cloned().collect();
            check.note("timeout: the agent has OUTRIDER_CHECK_TIMEOUT");
            return understand(&argv::join(&rest), true, check);
        }
        ("sudo" | "env" | "nice" | "ionice", [_, rest @ ..])
            if rest.first().is_some_and(|word| !word.starts_with('-') && !word.contains('=')) =>
        {
            return understand(&argv::join(rest), true, check);
        }
        _ => {}
    }
    let joined: Vec<&str> = found.operators.iter().map(String::as_str).collect();
    match joined.as_slice() {
        [] => one(first, &[], check),
        operators if operators.iter().all(|operator| *operator == "|") => {
            one(first, found.commands.get(1..).unwrap_or_default(), check);
        }
        // What comes after || in a check is `exit 1` or the like.
        operators
            if operators.iter().zip(found.commands.iter().skip(1)).all(
                |(operator, command)| match *operator {
                    "&&" => true,
                    "||" => ends(command),
                    _ => false,
                },
            ) =>
        {
            for command in found.commands.iter().filter(|command| !ends(command)) {
                one(command, &[], check);
            }
        }
        _ => shell_only(script, check),
    }
}

/// `exit 1`, `false`.
fn ends(command: &[String]) -> bool {
    matches!(name_of(command), "exit" | "return" | "false" | "true")
}

/// What becomes of shell syntax without a shell.
fn without_shell(found: &Commands, first: &[String], check: &mut Check) {
    let signs: Vec<String> =
        found.operators.iter().chain(&found.redirects).map(|sign| format!("\"{sign}\"")).collect();
    if signs.is_empty() {
        return;
    }
    let signs = signs.join(", ");
    let program = name_of(first);
    // Tried with iproute2: "syntax error!", exit code 255.
    let then = match program {
        "ss" => "it fails for good, and no host has the address",
        _ => "what it makes of them decides",
    };
    check.note(format!(
        "keepalived runs a script without a shell: {program} gets {signs} and what follows as its own arguments, and {then}"
    ));
}

/// A single command, and what it is piped into.
fn one(command: &[String], piped: &[Vec<String>], check: &mut Check) {
    let arguments = command.get(1..).unwrap_or_default();
    let last = arguments.iter().rfind(|word| !word.starts_with('-'));
    match (name_of(command), piped) {
        ("ss" | "netstat" | "lsof" | "ps", [filter, ..])
            if matches!(name_of(filter), "grep" | "egrep" | "fgrep") =>
        {
            filtered(command, filter, check);
        }
        ("ss" | "lsof" | "fuser" | "netstat", []) => {
            match arguments.iter().rev().find_map(|word| port_in(word)) {
                Some(port) => {
                    if name_of(command) == "ss" {
                        check.note("ss ends with 0 whether it finds a socket or not: it never fails");
                    }
                    check.note("asks whether somebody listens, not whether he answers");
                    check.tcp("127.0.0.1", port);
                }
                None => plain(command, check),
            }
        }
        ("killall" | "pidof" | "pgrep" | "pkill", []) => match last {
            Some(name) => of_process(name, check),
            None => plain(command, check),
        },
        ("systemctl" | "service" | "rc-service", []) => {
            let verbs = ["is-active", "status", "show"];
            match arguments.iter().find(|word| !word.starts_with('-') && !verbs.contains(&word.as_str())) {
                Some(name) => of_process(name.trim_end_matches(".service"), check),
                None => plain(command, check),
            }
        }
        ("nc" | "ncat" | "netcat", []) => netcat(command, check),
        ("curl" | "wget", piped) => {
            if !piped.is_empty() {
                check.note("what the answer holds is not looked at here, its status is");
            }
            if http::request(command, check).is_none() {
                plain(command, check);
            }
        }
        ("ping" | "ping6" | "fping" | "arping", []) => match last {
            Some(host) if host.parse::<std::net::IpAddr>().is_ok() => {
                check.note(format!(
                    "asks whether the network answers, which the agent does by itself: it asks the default gateway, or any \
                     peer. Another address in the segment of this one: OUTRIDER_GUARD={host}"
                ));
                check.elsewhere = true;
            }
            _ => plain(command, check),
        },
        ("!", []) => match arguments {
            [test, rest @ ..] if name_of(arguments) == "test" => {
                check.note("keepalived 2 finds no program called ! and does not run it");
                let negated: Vec<String> =
                    [test.clone(), "!".to_owned()].into_iter().chain(rest.iter().cloned()).collect();
                plain(&negated, check);
            }
            _ => check.note("keepalived 2 finds no program called ! and does not run it"),
        },
        (_, []) => match command.first() {
            Some(path) if path.contains("/init.d/") => of_process(name_of(command), check),
            _ => plain(command, check),
        },
        _ => {
            let all = [command].into_iter().chain(piped.iter().map(Vec::as_slice));
            let text: Vec<String> = all.map(argv::join).collect();
            shell_only(&text.join(" | "), check);
        }
    }
}

/// `ss -ltn | grep 80`, `ps aux | grep haproxy`.
fn filtered(command: &[String], filter: &[String], check: &mut Check) {
    let program = name_of(command);
    let Some(pattern) = filter.iter().skip(1).rfind(|word| !word.starts_with('-')) else {
        return plain(command, check);
    };
    match port_in(pattern).filter(|_| program != "ps") {
        Some(port) => {
            if pattern.ends_with(|last: char| last.is_ascii_digit()) {
                let other = if port == 80 { 8080 } else { port.checked_mul(10).unwrap_or(port) };
                let other =
                    if other == port { "others that contain it".to_owned() } else { format!("port {other}") };
                check.note(format!("\"grep {pattern}\" also matches {other}"));
            }
            check.note("somebody who listens need not answer");
            check.tcp("127.0.0.1", port);
        }
        None => {
            if program == "ps" {
                check.note("\"grep\" finds itself in what ps lists: it never fails");
            }
            let name: String = pattern.chars().filter(|letter| !"[]^$".contains(*letter)).collect();
            of_process(&name, check);
        }
    }
}

fn of_process(name: &str, check: &mut Check) {
    let name = name.rsplit('/').next().unwrap_or(name).trim_matches(['^', '$']);
    match SERVICES.iter().find(|(service, _)| *service == name) {
        Some((_, port)) => {
            check.note(format!(
                "asks whether a process called {name} exists, not whether it answers. Port {port} is a guess, since this \
                 file does not name it: write the right one, or better http://127.0.0.1:{port}/PATH"
            ));
            check.tcp("127.0.0.1", *port);
        }
        None => {
            check.note(format!(
                "asks whether a process called {name} exists, not whether it answers: tcp://127.0.0.1:PORT or \
                 http://127.0.0.1:PORT/PATH would. killall -0 needs the right to send signals to it, which a check has \
                 not; pgrep asks the same"
            ));
            plain(&["/usr/bin/pgrep".to_owned(), "-x".to_owned(), name.to_owned()], check);
        }
    }
}

/// `nc -z -w 3 host port`.
fn netcat(command: &[String], check: &mut Check) {
    let mut places = Vec::new();
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some(flags) if flags.contains('u') => return plain(command, check),
            Some(flags) if flags.ends_with(['w', 'i', 's', 'p']) => {
                words.next();
            }
            Some(_) => {}
            None => places.push(word.as_str()),
        }
    }
    match places.as_slice() {
        [host, port] => match port.parse() {
            Ok(port) if port > 0 => check.tcp(host, port),
            _ => plain(command, check),
        },
        _ => plain(command, check),
    }
}

/// A program with its arguments.
fn plain(command: &[String], check: &mut Check) {
    let Some(program) = command.first() else { return };
    let mut argv = command.to_vec();
    if program == "[" {
        // The same program by a name that stands in every directory listing.
        argv.retain(|word| word != "]");
    }
    if let Some(first) = argv.first_mut()
        && !program.starts_with('/')
    {
        let name = if program == "[" { "test" } else { name_of(command) };
        *first = format!("/usr/bin/{name}");
        check.note(format!("keepalived looks {program} up; {first} is a guess"));
    }
    check.note(EXEC);
    check.target(format!("exec:{}", argv::join(&argv)));
}

/// What only a shell understands.
fn shell_only(script: &str, check: &mut Check) {
    check.note(format!("needs a shell; {EXEC}"));
    let argv = ["/bin/sh", "-c", script].map(str::to_owned);
    check.target(format!("exec:{}", argv::join(&argv)));
}

/// The program's name without its folder.
fn name_of(command: &[String]) -> &str {
    let path = command.first().map(String::as_str).unwrap_or_default();
    path.rsplit('/').next().unwrap_or(path)
}

/// Host and port of bash's /dev/tcp/HOST/PORT.
fn dev_tcp(script: &str) -> Option<(&str, u16)> {
    let (host, rest) = script.split_once("/dev/tcp/")?.1.split_once('/')?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let port = rest.get(..end)?.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some((host, port))
}

/// The last number in a pattern or a filter that can be a port.
fn port_in(text: &str) -> Option<u16> {
    let digits = text.rsplit(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty())?;
    digits.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests;
