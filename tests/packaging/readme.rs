//! The README and docs/ say what the program says, and each command in them is run by a test.

use super::{PROGRAM, entries, read, settings, tree};
use anyhow::{Context, Result, ensure};
use outrider::core::advert::Version;
use outrider::core::timing::{lease_seconds, master_down};
use outrider::lab::{Lab, VIP};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The README first.
fn documents() -> Vec<PathBuf> {
    let mut docs: Vec<_> =
        std::fs::read_dir(tree("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    docs.sort();
    assert!(docs.len() > 5);
    docs.insert(0, tree("README.md"));
    docs
}

#[test]
fn the_table_of_variables_is_that_of_the_help() {
    let rows: Vec<(String, String)> = read(&tree("docs/settings.md"))
        .lines()
        .filter(|line| line.starts_with("| `OUTRIDER_"))
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), 3, "{line}");
            (cells[0].trim_start_matches("| ").replace('`', ""), cells[1].trim().replace('`', ""))
        })
        .collect();
    assert_eq!(rows, settings());
}

/// What is named anywhere is a variable of this version.
#[test]
fn no_other_variable_is_named() {
    let known: BTreeSet<String> = settings().into_iter().map(|(name, _)| name).collect();
    let of_tests =
        ["OUTRIDER_BENCH_RUNS", "OUTRIDER_SIM_SEEDS", "OUTRIDER_MODEL_DEPTH", "OUTRIDER_FUZZ_TRACE"];
    for document in documents() {
        let text = read(&document);
        let words = text
            .split(|letter: char| !letter.is_ascii_uppercase() && letter != '_' && !letter.is_ascii_digit());
        for word in words.filter(|word| word.starts_with("OUTRIDER_")) {
            let plain = word.strip_suffix("_FILE").unwrap_or(word);
            // `OUTRIDER_SMTP_...`; a mistake that is shown as one.
            let named = known.contains(word)
                || known.contains(plain)
                || of_tests.contains(&word)
                || (word.ends_with('_') && text.contains(&format!("{word}...")))
                || (word == "OUTRIDER_VIPS" && document.ends_with("troubleshooting.md"));
            assert!(named, "{}: {word}", document.display());
        }
    }
}

/// The table of intervals is what the timing yields.
#[test]
fn the_table_of_intervals_is_computed() {
    let text = read(&tree("docs/vrrp.md"));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("ms`") || line.starts_with("| `1s`"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    for row in rows {
        let interval = row[1].trim_end_matches(" (default)").trim_matches('`');
        let interval = match interval.strip_suffix("ms") {
            Some(millis) => Duration::from_millis(millis.parse().unwrap()),
            None => Duration::from_secs(interval.trim_end_matches('s').parse().unwrap()),
        };
        let down = |priority| master_down(Version::V3, priority, interval);
        let digits = if interval < Duration::from_millis(50) { 2 } else { 1 };
        let range = format!("{:.digits$} to {:.digits$} s", down(254).as_secs_f64(), down(1).as_secs_f64());
        assert_eq!(row[2], range);
        // The kernel counts by the second, and half of one may pass until it looks.
        assert_eq!(row[3], format!("{:.1} s", f64::from(lease_seconds(down(1))) + 0.5));
    }
}

#[test]
fn every_link_leads_somewhere() {
    let anchor = |heading: &str| -> String {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        letters
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -".contains(*letter))
            .collect::<String>()
            .replace(' ', "-")
    };
    let mut links = 0;
    for document in documents() {
        let text = read(&document);
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let (link, _) = rest.split_once(')').unwrap();
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", document.display());
            let found = place.is_empty()
                || read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == place);
            assert!(found, "{}: {link}: no such heading", document.display());
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

/// The commands: the lines of fences with `sh`, without comments.
pub fn commands() -> Vec<String> {
    let mut found = Vec::new();
    for document in documents() {
        let text = read(&document);
        let mut shell = false;
        for line in text.lines().map(str::trim) {
            match line.strip_prefix("```") {
                Some(language) => shell = language == "sh",
                None if shell && !line.is_empty() => {
                    found.push(line.split("  #").next().unwrap().trim().to_owned());
                }
                None => {}
            }
        }
    }
    found
}

/// Commands that take minutes or a machine of their own: what shows that they work, and the words in it.
#[rustfmt::skip] // A table: one command a line.
const ELSEWHERE: [(&str, &str, &str); 18] = [
    ("cargo run --release -- demo", "tests/packaging/readme.rs", "fn the_demo_is_as_shown"),
    ("tests/run", ".ci/run", "tests/run --no-fail-fast"),
    ("tests/run --test packaging", "tests/run", "exec cargo test --locked \"$@\""),
    ("bash .ci/run", ".ci/run", "all well"),
    ("cargo build --release --locked --no-default-features", "Dockerfile", "cargo build --release --locked --no-default-features"),
    ("cargo bench --bench failover", ".ci/run", "--bench failover"),
    ("cargo bench --bench many", ".ci/run", "--bench many"),
    ("cargo bench --bench micro", ".ci/run", "--bench micro"),
    ("OUTRIDER_SIM_SEEDS=20000 cargo test --release --test sim schedules -- --nocapture", "tests/sim/main.rs", "OUTRIDER_SIM_SEEDS"),
    ("OUTRIDER_MODEL_DEPTH=10 cargo test --release --test model with_keepalived -- --nocapture", "tests/model/main.rs", "OUTRIDER_MODEL_DEPTH"),
    ("fuzz/run", "fuzz/run", "cargo +nightly fuzz run"),
    ("fuzz/run core 3600", "fuzz/run", "cargo +nightly fuzz run"),
    ("fuzz/keep core", "fuzz/keep", "fuzz/corpus"),
    ("OUTRIDER_FUZZ_TRACE=1 cargo +nightly fuzz run core fuzz/artifacts/core/FILE", "fuzz/src/core.rs", "OUTRIDER_FUZZ_TRACE"),
    ("openssl dgst -sha256 -r -hmac \"$(cat key)\" body", "tests/notify/webhook.rs", "\"dgst\""),
    ("deploy/release", "tests/packaging/deploy.rs", "fn a_release_with_images"),
    ("deploy/release --binaries", "tests/packaging/deploy.rs", "fn a_release_of_the_binaries"),
    ("tests/chroot", "tests/chroot", "debootstrap"),
];

/// Each command belongs to one of the tests below, or to one elsewhere.
#[test]
fn every_command_is_run_by_a_test() {
    let mut left: BTreeSet<String> = commands().into_iter().collect();
    assert!(left.len() > 30, "{left:#?}");
    for (command, file, words) in ELSEWHERE {
        assert!(left.remove(command), "not in the documents: {command}");
        assert!(read(&tree(file)).contains(words), "{file} does not have {words}");
    }
    // tests/engines/readme.rs
    left.retain(|command| !command.starts_with("docker ") && !command.starts_with("docker-compose "));
    for command in [CATALOG, &[CURL, STATUS, IMPORT], &INSTALL].concat() {
        assert!(left.remove(command), "not in the documents: {command}");
    }
    assert_eq!(left, BTreeSet::new());
}

/// Without an engine the client still reads its command line: whatever is wrong with that is said first.
#[test]
fn docker_understands_its_commands() {
    let commands = commands();
    let docker: Vec<_> = commands.iter().filter(|command| command.starts_with("docker")).collect();
    assert!(docker.len() > 10, "{docker:?}");
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let said = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(tree("")).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        let output = shell.output().unwrap();
        assert!(!output.status.success(), "{command}");
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(!text.contains("not found"), "apt-get install docker.io docker-compose: {text}");
        text.to_lowercase()
    };
    let no_engine = |text: &str| {
        text.contains("connect to the docker daemon")
            || text.contains("connect to docker daemon")
            || text.contains("error while fetching server api version")
    };
    for command in docker {
        // The archive is of the line before.
        let command =
            command.replace("-i outrider.tar", "-i Cargo.toml").replace("-o ", &format!("-o {place}/"));
        let text = said(&command);
        assert!(no_engine(&text), "{command}: {text}");
    }
    let text = said("docker run --nett host outrider");
    assert!(!no_engine(&text) && text.contains("unknown flag"), "{text}");
}

const CATALOG: &[&str] = &[
    "git branch -f rancher-catalog $(git commit-tree HEAD:rancher-compose -m \"Outrider for Rancher\")",
    "git push https://git.example.com/rancher-catalog.git rancher-catalog:master",
];

/// What is pushed is a catalog: `templates` at the top, with all of them.
#[test]
fn the_catalogs_branch() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("rancher-catalog.git");
    std::fs::write(folder.path().join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let run = |command: &str, place: &Path| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).current_dir(place);
        // The tree may be somebody else's: in a container, under sudo.
        shell.env("HOME", folder.path());
        for role in ["AUTHOR", "COMMITTER"] {
            shell
                .env(format!("GIT_{role}_NAME"), "test")
                .env(format!("GIT_{role}_EMAIL"), "test@example.com");
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(
        &format!(
            "git clone --quiet --shared '{}' clone; git init --quiet --bare '{}'",
            tree("").display(),
            bare.display()
        ),
        folder.path(),
    );
    let clone = folder.path().join("clone");
    for command in CATALOG {
        run(&command.replace("https://git.example.com/rancher-catalog.git", bare.to_str().unwrap()), &clone);
    }
    let pushed = run("git ls-tree -r --name-only master", &bare);
    let committed = run("git ls-tree -r --name-only HEAD:rancher-compose", &clone);
    assert_eq!(pushed, committed);
    assert!(pushed.contains("templates/outrider/0/rancher-compose.yml\n"), "{pushed}");
    assert!(pushed.lines().all(|file| file.starts_with("templates/")), "{pushed}");
}

const INSTALL: [&str; 5] = [
    "sudo install -m 755 target/release/outrider /usr/local/bin/outrider",
    "sudo install -m 640 deploy/outrider.env /etc/outrider.env",
    "sudo install -m 644 deploy/outrider.service /etc/systemd/system/outrider.service",
    "sudo systemctl enable --now outrider",
    "journalctl -u outrider",
];

/// Installed below another root. systemd does there what it can without running.
#[test]
fn the_service_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let mut script = format!(
        "mkdir -p {root}/usr/local/bin {root}/etc/systemd/system {root}/journal\nsudo() {{ \"$@\"; }}\n"
    );
    for command in INSTALL {
        let command = command
            .replace(" /usr/local", &format!(" {root}/usr/local"))
            .replace(" /etc", &format!(" {root}/etc"))
            .replace("target/release/outrider", PROGRAM)
            .replace("systemctl enable --now", &format!("systemctl --root={root} enable"))
            .replace("journalctl", &format!("journalctl --directory={root}/journal"));
        script += &format!("{command}\n");
    }
    let output = Command::new("sh").args(["-ec", &script]).current_dir(tree("")).output().unwrap();
    assert!(output.status.success(), "{script}{}", String::from_utf8_lossy(&output.stderr));
    let link = folder.path().join("etc/systemd/system/multi-user.target.wants/outrider.service");
    assert!(link.symlink_metadata().is_ok(), "it is not started at boot");
    let installed =
        Command::new(folder.path().join("usr/local/bin/outrider")).arg("--version").output().unwrap();
    assert!(installed.status.success());
}

/// The demo, of this build: the steps are those that the README shows, and none fails. It says so when a machine is too
/// busy for a second (other tests hold the kernel's lock), and is given another chance.
#[test]
fn the_demo_is_as_shown() {
    let mut run = 0;
    let said = loop {
        run += 1;
        let output = Command::new(PROGRAM).arg("demo").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        if output.status.success() {
            break said;
        }
        assert!(run < 3, "{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    // Names without numbers, in the first column.
    let steps = |text: &str| -> Vec<String> {
        let table = text.split("step   ").nth(1).expect("a table");
        let rows = table.lines().skip(1).take_while(|row| !row.trim().is_empty() && !row.contains("```"));
        let names = rows
            .map(|row| row.trim().split("  ").next().unwrap().split(" after ").next().unwrap().to_owned());
        names.collect()
    };
    let shown = steps(&read(&tree("README.md")));
    assert_eq!(shown.len(), 7, "{shown:?}");
    assert_eq!(steps(&said), shown, "{said}");
}

const CURL: &str = "curl http://10.10.10.2/";
const STATUS: &str = "sudo outrider status";
const IMPORT: &str = "outrider import-keepalived /etc/keepalived/keepalived.conf > outrider.env";

/// keepalived's configuration of a host becomes an agent; its address answers, and its status is told.
#[tokio::test]
async fn from_keepalived_to_an_answer() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    std::fs::write(
        folder.path().join("keepalived.conf"),
        "vrrp_instance web {\n interface eth0\n virtual_router_id 2\n priority 100\n nopreempt\n version 3\n advert_int 0.2\n \
         unicast_src_ip 10.10.10.11\n unicast_peer {\n 10.10.10.12\n }\n virtual_ipaddress {\n 10.10.10.2/24\n }\n}\n",
    )?;
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("outrider"))?;
    let path = format!("{place}:{}", std::env::var("PATH")?);
    let shell = |command: String| {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-ec", &command]).current_dir(&place).env("PATH", &path);
        shell
    };
    let import = IMPORT.replace("/etc/keepalived", &place);
    let imported = shell(import).output().await?;
    ensure!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let lab = Lab::new(1, PROGRAM).await?;
    let host = &lab.hosts()[0];
    let _balancer = host.start_balancer().await?;
    let text = read(&folder.path().join("outrider.env"));
    let settings: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let agent = host.start_agent(&settings).await?;
    lab.wait_for_holder(Duration::from_secs(20))
        .await
        .with_context(|| format!("{text}\n{}", agent.tail(20)))?;

    assert_eq!(VIP.to_string(), "10.10.10.2");
    let namespace = lab.client_namespace();
    let curl = outrider::lab::process::Process::start(namespace, "curl", shell(CURL.to_owned())).await?;
    curl.wait_for_line("lb1", Duration::from_secs(20)).await?;
    let status = shell(format!("sudo() {{ \"$@\"; }}\n{STATUS}"));
    host.start("status", status).await?.wait_for_line("lb1 is Active", Duration::from_secs(20)).await?;
    Ok(())
}

/// What the README's examples of a plain Docker host set is in the file, or as settable.
#[test]
fn the_file_of_settings_is_as_shown() {
    let shown = read(&tree("README.md"));
    for line in
        read(&tree("deploy/outrider.env")).lines().filter(|line| line.contains('=') && !line.starts_with('#'))
    {
        let (name, _) = line.split_once('=').unwrap();
        assert!(shown.contains(&format!("\n   {name}=")), "README.md does not show {name}");
    }
}

/// The questions of the template are those that the README counts on.
#[test]
fn the_templates_readme_is_linked() {
    let config = super::yaml(&read(&tree("rancher-compose/templates/outrider/config.yml")));
    assert!(entries(&config).iter().any(|(key, _)| *key == "name"));
    for name in ["Website with Outrider", "Load balancer with Outrider as sidekick"] {
        assert!(read(&tree("README.md")).contains(&format!("*{name}*")), "{name}");
    }
}
