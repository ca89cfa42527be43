//! docs/troubleshooting.md quotes log lines. The source can print each of them, and the real agent is made to print most.

use super::{PROGRAM, read, tree};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use outrider::lab::metadata::Fault;
use outrider::lab::process::Process;
use outrider::lab::{Host, Lab, VIP};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(30);
const LEVELS: [&str; 3] = ["ERROR ", "WARN ", "INFO "];
const PEERS: (&str, &str) = ("OUTRIDER_PEERS", "10.10.10.11,10.10.10.12");
const UNCHECKED: (&str, &str) = ("OUTRIDER_CHECK", "none");

/// The quoted lines: those in fences without a language.
fn quoted() -> Vec<String> {
    let text = read(&tree("docs/troubleshooting.md"));
    let mut fence: Option<bool> = None;
    let mut found = Vec::new();
    for line in text.lines() {
        match (line.trim().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => fence = Some(language.is_empty()),
            (None, Some(true)) => found.push(line.trim().to_owned()),
            (None, _) => {}
        }
    }
    assert!(found.len() > 30, "{found:#?}");
    found
}

/// A line without its time, and with what differs from run to run made alike.
fn alike(line: &str) -> String {
    let is_time = |word: &str| word.len() == 24 && word.starts_with("20") && word.ends_with('Z');
    let words = line.split_whitespace().skip_while(|word| is_time(word));
    let plain = words.map(|word| {
        let bare = word.trim_end_matches([',', ';', ':']);
        let mac = bare.split(':').count() == 6 && bare.split(':').all(|part| part.len() == 2);
        let number =
            bare.parse::<f64>().is_ok() || bare.strip_suffix("ms").is_some_and(|n| n.parse::<f64>().is_ok());
        match (mac, number) {
            (true, _) => word.replace(bare, "MAC"),
            (_, true) => word.replace(bare, "N"),
            _ => word.to_owned(),
        }
    });
    plain.collect::<Vec<_>>().join(" ")
}

/// Waits for a line with these words, and looks it up among the quoted ones.
async fn says(process: &Process, words: &str) -> Result<()> {
    let line = process.wait_for_line(words, SOON).await.with_context(|| process.tail(20))?.text;
    is_quoted(&line);
    Ok(())
}

fn is_quoted(line: &str) {
    let line = alike(line);
    assert!(
        quoted().iter().any(|quoted| alike(quoted) == line),
        "docs/troubleshooting.md does not quote: {line}"
    );
}

/// Starts an agent for the lab's address, with these settings besides.
async fn agent(host: &Host, more: &[(&str, &str)]) -> Result<Process> {
    let vip = VIP.to_string();
    let settings: Vec<_> = [("OUTRIDER_VIP", vip.as_str())].into_iter().chain(more.iter().copied()).collect();
    // The last of two with one name counts.
    host.start_agent(&settings).await
}

#[tokio::test]
async fn nobody_takes_it_for_want_of_a_load_balancer() -> Result<()> {
    let lab = Lab::new(1, PROGRAM).await?;
    let [host] = lab.hosts() else { unreachable!() };
    says(&agent(host, &[]).await?, "Initialize -> Fault").await?;
    says(&agent(host, &[("OUTRIDER_LB", "lb/none")]).await?, "lb/none").await?;
    says(&agent(host, &[("OUTRIDER_CHECK", "exec:/bin/false")]).await?, "Initialize -> Fault").await
}

#[tokio::test]
async fn nobody_takes_it_for_want_of_metadata() -> Result<()> {
    let mut lab = Lab::new(1, PROGRAM).await?;
    let stranger = lab.add_host().await?;
    says(&agent(&lab.hosts()[stranger], &[]).await?, "does not take part").await?;
    let host = &lab.hosts()[0];
    let here = agent(host, &[]).await?;
    here.wait_for_line("takes part", SOON).await?;
    host.metadata().set_fault(Fault::Refuse);
    let away = here.wait_for_line("the last members stay", SOON).await?.text;
    // What the request in flight ended of depends on how far it was.
    let (start, _) = away.split_once("/version: ").context("which request it was")?;
    is_quoted(&format!("{start}/version: Connection refused (os error 111)"));
    says(&agent(host, &[]).await?, "waiting for the metadata service").await
}

#[tokio::test]
async fn nobody_takes_it_as_the_address_cannot_be_had() -> Result<()> {
    let lab = Lab::new(2, PROGRAM).await?;
    let [first, second] = lab.hosts() else { unreachable!() };
    let nowhere = agent(first, &[("OUTRIDER_INTERFACE", "eth7")]).await?;
    says(&nowhere, "waiting, without a claim").await?;
    drop(nowhere);
    let settings = [PEERS, UNCHECKED];
    let cut_off = agent(first, &[PEERS, UNCHECKED, ("OUTRIDER_GUARD", "10.10.10.99")]).await?;
    says(&cut_off, "seems cut off").await?;
    says(&agent(first, &settings).await?, "another agent on this host").await?;
    drop(cut_off);

    second.namespace().add_address("eth0", IpAddr::from(VIP).into()).await?;
    says(&agent(second, &settings).await?, "is on eth0 already").await?;
    says(&agent(first, &settings).await?, "is in use by").await
}

/// Two hosts whose settings differ: each pair, and what the first one says of the second.
#[tokio::test]
async fn hosts_with_different_settings_name_them() -> Result<()> {
    const KEY: &str = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "1:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const SECOND: &str = "2:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const V2: (&str, &str) = ("OUTRIDER_VRRP_VERSION", "2");
    type Settings = &'static [(&'static str, &'static str)];
    let cases: [(Settings, Settings, &str); 9] = [
        (&[], &[V2], "speaks VRRP"),
        (&[V2], &[V2, ("OUTRIDER_ADVERT_INTERVAL", "2s")], "advertises every"),
        (&[V2, ("OUTRIDER_AUTH_PASS", "one")], &[V2, ("OUTRIDER_AUTH_PASS", "two")], "another password"),
        (&[V2, ("OUTRIDER_AUTH_PASS", "one")], &[V2], "sends no password"),
        (&[("OUTRIDER_AUTH_KEYS", KEY)], &[("OUTRIDER_AUTH_KEYS", OTHER)], "another key"),
        (&[("OUTRIDER_AUTH_KEYS", KEY)], &[("OUTRIDER_AUTH_KEYS", SECOND)], "does not have"),
        (&[("OUTRIDER_AUTH_KEYS", KEY)], &[], "does not sign"),
        (&[("OUTRIDER_VIP", "10.10.10.2,10.10.10.4")], &[], "advertises other addresses"),
        (&[], &[("OUTRIDER_VIP", "10.10.10.3"), ("OUTRIDER_VRID", "2")], "is used by somebody else"),
    ];
    for (ours, theirs, words) in cases {
        let lab = Lab::new(2, PROGRAM).await?;
        let [first, second] = lab.hosts() else { unreachable!() };
        let settings = |more: Settings| [&[PEERS, UNCHECKED], more].concat();
        let other = agent(second, &settings(theirs)).await?;
        other.wait_for_line("-> Active", SOON).await?;
        says(&agent(first, &settings(ours)).await?, words).await.context(words)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_happens_to_a_holder() -> Result<()> {
    let lab = Lab::new(1, PROGRAM).await?;
    let [host] = lab.hosts() else { unreachable!() };
    let place = SocketAddr::from((host.address(), 9112));
    let taken = host.namespace().run(async move { TcpListener::bind(place).await }).await??;
    let mail = [("OUTRIDER_SMTP_SERVER", "127.0.0.1:9"), ("OUTRIDER_SMTP_TO", "ops@example.com")];
    let holder =
        agent(host, &[&[("OUTRIDER_PEERS", "10.10.10.11,10.10.10.99"), UNCHECKED], &mail[..]].concat())
            .await?;
    says(&holder, "status cannot be served").await?;
    drop(taken);
    holder.wait_for_line("-> Active", SOON).await?;
    says(&holder, "it is tried again for").await?;
    host.namespace().remove_address(VIP.into()).await?;
    says(&holder, "it is put back").await?;
    let vip = VIP.to_string();
    let mut drain = tokio::process::Command::new(PROGRAM);
    drain.arg("drain").env_clear().env("OUTRIDER_VIP", vip);
    says(&host.start("drain", drain).await?, "no other member took the address").await?;
    says(&holder, "no other member took the address").await?;
    holder.signal(Signal::SIGSTOP)?;
    tokio::time::sleep(Duration::from_millis(1500)).await; // What is slept through cannot be waited for.
    holder.signal(Signal::SIGCONT)?;
    says(&holder, "this host slept").await
}

#[test]
fn wrong_settings() {
    for settings in [
        &[("OUTRIDER_VRID", "256")][..],
        &[("OUTRIDER_VIPS", "10.10.10.2")],
        &[("OUTRIDER_AUTH_KEYS_FILE", "/run/secrets/auth-keys")],
        &[("OUTRIDER_CHECK", "127.0.0.1:80")],
    ] {
        let mut command = Command::new(PROGRAM);
        command.arg("check-config").env_clear().env("OUTRIDER_VIP", VIP.to_string());
        let output = command.envs(settings.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        is_quoted(String::from_utf8(output.stderr).unwrap().trim());
    }
}

/// The texts in the source, each as its parts between what is filled in.
fn texts(folder: &Path, found: &mut Vec<Vec<String>>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = read(&path);
            let mut rest = source.as_str();
            while let Some((_, after)) = rest.split_once('"') {
                let mut text = String::new();
                let mut letters = after.char_indices();
                let mut end = after.len();
                while let Some((at, letter)) = letters.next() {
                    match letter {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => match letters.next() {
                            // A line that goes on.
                            Some((_, '\n')) => {
                                let so_far = letters.as_str();
                                let skipped = so_far.len() - so_far.trim_start().len();
                                letters.by_ref().take(so_far[..skipped].chars().count()).for_each(drop);
                            }
                            Some((_, other)) => text.push(other),
                            None => {}
                        },
                        letter => text.push(letter),
                    }
                }
                rest = &after[end..];
                found.push(parts(&text));
            }
        }
    }
}

/// What stands between `{...}`.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        match letter {
            '{' => {
                depth += 1;
                if depth == 1 {
                    parts.push(String::new());
                }
            }
            '}' => depth = (depth - 1).max(0),
            letter if depth == 0 => parts.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    parts
}

/// Whether a message is made of the source's texts: one of them from end to end, and where words are filled into it,
/// these as well. What is known already is remembered: there are many ways to fill in.
fn printable(message: &str, texts: &[Vec<String>], known: &mut BTreeMap<String, bool>) -> bool {
    if let Some(known) = known.get(message) {
        return *known;
    }
    // What contains itself is no answer.
    known.insert(message.to_owned(), false);
    let found = texts.iter().any(|text| {
        let Some(holes) = holes(message, text) else { return false };
        let letters: usize = text.iter().map(|part| part.trim().len()).sum();
        let mut told = |hole: &str| printable(hole, texts, known);
        let value = |hole: &str| {
            hole.split_whitespace().count() <= 3 || hole.ends_with(')') && hole.contains("(os error ")
        };
        // A frame of punctuation alone says nothing, and neither does a value of a few words. A chain of causes is
        // joined with colons.
        (letters >= 12 || holes.iter().any(|hole| told(hole)))
            && holes.iter().all(|hole| {
                value(hole) || told(hole) || hole.split(": ").all(|cause| value(cause) || told(cause))
            })
    });
    known.insert(message.to_owned(), found);
    found
}

/// What would have to be filled in to make this text the message.
fn holes<'a>(message: &'a str, text: &[String]) -> Option<Vec<&'a str>> {
    let (first, others) = text.split_first()?;
    let mut rest = message.strip_prefix(first.as_str())?;
    let Some((last, middle)) = others.split_last() else { return rest.is_empty().then(Vec::new) };
    let mut holes = Vec::new();
    for part in middle {
        let at = rest.find(part.as_str())?;
        holes.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    holes.push(rest.strip_suffix(last.as_str())?);
    Some(holes)
}

#[test]
fn the_source_can_print_every_quoted_line() {
    let mut found = Vec::new();
    texts(&tree("src"), &mut found);
    // Names and keys are no messages.
    found.retain(|text| text.iter().any(|part| part.contains(' ')));
    found.sort();
    found.dedup();
    let mut known = BTreeMap::new();
    for line in quoted() {
        let level = LEVELS.iter().find_map(|level| line.strip_prefix(level));
        let message = match level {
            Some(rest) => {
                let (target, message) = rest.split_once(": ").unwrap_or_else(|| panic!("no target: {line}"));
                let module = target.strip_prefix("outrider").expect("ours").replace("::", "/");
                let file =
                    if module.is_empty() { "src/main.rs".to_owned() } else { format!("src{module}.rs") };
                assert!(tree(&file).is_file(), "{line}: there is no {file}");
                message
            }
            None => line.as_str(),
        };
        assert!(printable(message, &found, &mut known), "the source cannot print {message}");
    }
    for wrong in
        ["10.10.10.2: Initialize -> Fault: the moon is full and so is the disk", "the address is blue"]
    {
        assert!(!printable(wrong, &found, &mut known), "{wrong}");
    }
}
