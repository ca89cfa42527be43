//! scapy writes and reads what we write and read: random fields, version 2 and 3, IPv4 and IPv6, every checksum, with
//! and without a trailer.
//!
//! OUTRIDER_WIRE_SEED=42 cargo test --test wire scapy     the cases of a run that failed

use super::any::{Sent, any_sent};
use outrider::core::advert::Version;
use outrider::wire::advert::decode;
use outrider::wire::auth::{Verdict, verify};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

const CASES: usize = 4000;
/// Debian's, which has Debian's packages, whatever other one comes first in the path.
const PYTHON: &str = "/usr/bin/python3";

#[test]
fn scapy_writes_and_reads_the_same() {
    let seed = std::env::var("OUTRIDER_WIRE_SEED").map_or_else(
        |_| UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64),
        |seed| seed.parse().expect("OUTRIDER_WIRE_SEED is a number"),
    );
    let cases = cases(seed);
    let mut python = Command::new(PYTHON)
        .args(["-c", include_str!("scapy.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {PYTHON}: {error}; install python3-scapy"));
    let (mut input, output) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    let mut answers = BufReader::new(output).lines();
    let ready = answers.next().is_some_and(|line| line.is_ok_and(|line| line == "ready"));
    assert!(ready, "{PYTHON} has no scapy: install python3-scapy");
    // A thread of its own writes: two full pipes would wait for each other.
    let answers: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Should python die, the missing answer tells it.
            cases.iter().try_for_each(|sent| writeln!(input, "{}", question(sent))).ok();
            drop(input);
        });
        answers.map_while(Result::ok).collect()
    });
    for (number, sent) in cases.iter().enumerate() {
        let case = format!("case {number} of OUTRIDER_WIRE_SEED={seed}: {sent:?}");
        let answer = answers.get(number).unwrap_or_else(|| panic!("no answer: {case}"));
        compare(sent, &serde_json::from_str(answer).unwrap(), &case);
    }
    assert!(python.wait().unwrap().success());
}

fn cases(seed: u64) -> Vec<Sent> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    (0..CASES).map(|_| any_sent().new_tree(&mut runner).unwrap().current()).collect()
}

/// The interval as it is on the wire.
fn adv(sent: &Sent) -> u128 {
    let unit = if sent.advert.version == Version::V2 { 1000 } else { 10 };
    sent.advert.interval.as_millis() / unit
}

fn number(sent: &Sent) -> u8 {
    if sent.advert.version == Version::V2 { 2 } else { 3 }
}

/// The password in two words.
fn password(sent: &Sent) -> (u32, u32) {
    let password = u64::from_be_bytes(sent.pass.unwrap_or_default());
    ((password >> 32) as u32, password as u32)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn question(sent: &Sent) -> Value {
    let signature = sent.signature.as_ref();
    json!({
        "source": sent.source,
        "destination": sent.destination,
        "form": format!("{:?}", sent.form),
        "version": number(sent),
        "vrid": sent.advert.vrid,
        "priority": sent.advert.priority,
        "adv": adv(sent) as u64,
        "addresses": sent.advert.addresses,
        "authtype": u8::from(sent.pass.is_some()),
        "auth1": password(sent).0,
        "auth2": password(sent).1,
        "key": signature.map(|signature| signature.id),
        "secret": signature.map(|signature| hex(&signature.secret)),
        "sequence": signature.map(|signature| u64::from(signature.stamp)),
        "message": hex(&sent.write()),
    })
}

fn compare(sent: &Sent, answer: &Value, case: &str) {
    let ours = sent.write();
    assert_eq!(answer["message"], hex(&ours), "{case}");

    let theirs = super::bytes(answer["message"].as_str().unwrap());
    let decoded =
        decode(&theirs, sent.source, sent.destination).unwrap_or_else(|error| panic!("{error}: {case}"));
    assert_eq!(decoded.advert, sent.advert, "{case}");
    if let Some(signature) = &sent.signature {
        assert_eq!(verify(&theirs, sent.source, &[signature.key()]), Verdict::Valid, "{case}");
    }

    let trailer = if sent.signature.is_some() { ours.len() - 28 } else { ours.len() };
    let mut read = json!({
        "version": number(sent),
        "type": 1,
        "vrid": sent.advert.vrid,
        "priority": sent.advert.priority,
        "ipcount": sent.advert.addresses.len(),
        "adv": adv(sent) as u64,
        "addrlist": sent.advert.addresses,
        "rest": hex(&ours[trailer..]),
    });
    match sent.advert.version {
        Version::V2 => {
            read["authtype"] = u8::from(sent.pass.is_some()).into();
            read["auth1"] = password(sent).0.into();
            read["auth2"] = password(sent).1.into();
        }
        Version::V3 => read["res"] = 0.into(),
    }
    assert_eq!(answer["read"], read, "{case}");
}
