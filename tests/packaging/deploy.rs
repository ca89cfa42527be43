//! What is in deploy/ for hosts without Rancher: the systemd unit, the `docker run` line, the release script.

use super::{PROGRAM, VERSION, compose, read, readme, tree};
use outrider::lab::tool;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use yaml_rust2::Yaml;

/// The settings of the unit's sections; of one that stands twice the last.
fn unit() -> BTreeMap<String, String> {
    let text = read(&tree("deploy/outrider.service"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("outrider.service");
    // The program is not installed on the machine that tests it.
    let text = read(&tree("deploy/outrider.service")).replace("/usr/local/bin/outrider", PROGRAM);
    assert!(text.contains(PROGRAM));
    let verify = |text: &str| {
        std::fs::write(&place, text).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&place)
            .output()
            .expect("this test needs systemd-analyze: apt-get install systemd");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(verify(&text), "");
    let said = verify(&text.replace("RestartSec=1\n", "RestartSeconds=1\n"));
    assert!(said.contains("RestartSeconds"), "a wrong key is not found: {said}");
}

#[test]
fn the_unit_gives_what_the_container_gets() {
    let unit = unit();
    let names = |text: &str| -> BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
    let compose = compose::plain();
    let added = compose["cap_add"].as_vec().unwrap().iter();
    let added = added.map(|capability| format!("CAP_{}", capability.as_str().unwrap()));
    assert_eq!(names(&unit["CapabilityBoundingSet"]), added.collect());
    assert_eq!(unit["NoNewPrivileges"], "yes");
    assert_eq!(unit["ExecReload"], "+/bin/kill -HUP $MAINPID");
    assert_eq!(unit["KillMode"], "mixed");
    // The exit code of wrong settings; the time of a hand-over.
    assert_eq!(unit["RestartPreventExitStatus"], "2");
    let seconds = |text: &str| text.trim_end_matches('s').parse::<u32>().unwrap();
    assert_eq!(
        seconds(&unit["TimeoutStopSec"]),
        seconds(compose["stop_grace_period"].as_str().unwrap()),
        "SIGTERM has the same time"
    );
    assert_eq!(unit["EnvironmentFile"], "-/etc/outrider.env");
}

/// The flags of the README's line, in the words of a compose file.
#[test]
fn the_docker_run_line_is_the_compose_file() {
    let lines = readme::commands();
    let line = lines.iter().find(|line| line.starts_with("docker run ")).expect("a docker run line");
    let mut words = line.split(' ').skip(2).peekable();
    let mut said: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some("read-only") => drop(said.insert("read-only", BTreeSet::new())),
            Some(flag) => {
                let value = words.next().unwrap().trim_matches('"').to_owned();
                assert!(said.entry(flag).or_default().insert(value), "{word}: twice");
            }
            None => rest.push(word),
        }
    }
    assert_eq!(rest, ["-d", &format!("outrider:{VERSION}")]);

    let service = compose::plain();
    let list = |key: &str| -> BTreeSet<String> {
        service[key].as_vec().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let one = |text: &str| BTreeSet::from([text.to_owned()]);
    let options = service["logging"]["options"].as_hash().unwrap().iter();
    let options =
        options.map(|(key, value)| format!("{}={}", key.as_str().unwrap(), value.as_str().unwrap()));
    let mut wanted = BTreeMap::from([
        ("name", one("outrider")),
        ("net", one(service["network_mode"].as_str().unwrap())),
        ("cap-drop", list("cap_drop")),
        ("cap-add", list("cap_add")),
        ("security-opt", list("security_opt")),
        ("restart", one(service["restart"].as_str().unwrap())),
        ("log-driver", one(service["logging"]["driver"].as_str().unwrap())),
        ("log-opt", options.collect()),
        ("env-file", one("deploy/outrider.env")),
    ]);
    if service["read_only"] == Yaml::Boolean(true) {
        wanted.insert("read-only", BTreeSet::new());
    }
    assert_eq!(said, wanted);
}

/// A clone with a cargo that "builds" a given program in no time, and nothing else but what a script needs.
struct Clone {
    folder: TempDir,
    /// Where `cargo` is.
    tools: PathBuf,
}

impl Clone {
    /// The program says this of itself.
    fn new(said: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clone = folder.path().join("clone");
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let own = Self { folder, tools };
        // Not `git clone`: what is not committed yet is tested, too.
        for part in ["deploy", ".git", "docs"] {
            std::fs::create_dir_all(clone.join(part)).unwrap();
        }
        for file in ["Cargo.toml", "CHANGELOG.md", "README.md", "LICENSE", ".gitignore", "docs/settings.md"] {
            std::fs::copy(tree(file), clone.join(file)).unwrap();
        }
        for file in ["release", "outrider.service", "outrider.env"] {
            std::fs::copy(tree("deploy").join(file), clone.join("deploy").join(file)).unwrap();
        }
        own.git(&["init", "--quiet"]);
        own.commit();
        let source = own.folder.path().join("program.c");
        std::fs::write(&source, format!("#include <stdio.h>\nint main() {{ puts(\"{said}\"); }}\n")).unwrap();
        own.build(&["-static"]);
        own
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// The program is compiled with these options.
    fn build(&self, options: &[&str]) {
        let program = self.folder.path().join("program");
        let mut cc = Command::new("cc");
        cc.args(options).arg("-o").arg(&program).arg(self.folder.path().join("program.c"));
        assert!(cc.status().expect("cc: apt-get install gcc libc6-dev").success());
        let cargo = format!(
            "#!/bin/sh\nset -eu\ntest \"$1 $2 $3 $4 $5\" = 'build --release --locked --no-default-features --target'\n\
             case $RUSTFLAGS in *+crt-static*) ;; *) exit 9 ;; esac\n\
             mkdir -p target/$6/release\ncp {} target/$6/release/outrider\n",
            program.display()
        );
        self.tool("cargo", &cargo);
    }

    fn tool(&self, name: &str, text: &str) {
        let path = self.tools.join(name);
        tool::script(&path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments);
        let output = git.current_dir(self.path()).output().expect("git: apt-get install git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "--message", "A version"]);
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = read(&path);
        assert!(text.contains(from), "{file}: no {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Docker is not there: the one folder that is looked through has what else is needed.
    fn release(&self, arguments: &[&str]) -> Output {
        let needed = [
            "bash",
            "sh",
            "sed",
            "grep",
            "git",
            "uname",
            "mktemp",
            "tar",
            "gzip",
            "install",
            "cp",
            "mv",
            "rm",
            "mkdir",
            "cat",
            "dirname",
            "sha256sum",
            "readelf",
            "tr",
            "test",
            "rustc",
        ];
        for name in needed {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .map(|place| place.join(name))
                .find(|file| file.is_file());
            // Not a link: what is put in its place must not be written through it.
            if let (Some(found), false) = (found, self.tools.join(name).exists()) {
                self.tool(name, &format!("#!/bin/sh\nexec '{}' \"$@\"\n", found.display()));
            }
        }
        let mut release = Command::new(self.path().join("deploy/release"));
        release.args(arguments).env("PATH", &self.tools).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[test]
fn a_release_of_the_binaries() {
    let clone = Clone::new(&format!("outrider {VERSION}"));
    let output = clone.release(&["--binaries"]);
    assert!(output.status.success(), "{}", said(&output));
    let folder = clone.path().join(format!("target/outrider-{VERSION}"));
    let archive = format!("outrider-{VERSION}-linux-{}.tar.gz", architecture());
    let sums = read(&folder.join("SHA256SUMS"));
    assert_eq!(sums.lines().count(), 1, "{sums}");
    assert!(sums.contains(&archive), "{sums}");
    let check = |folder: &Path| {
        let mut check = Command::new("sha256sum");
        check.args(["-c", "SHA256SUMS"]).current_dir(folder).output().unwrap().status.success()
    };
    assert!(check(&folder));

    let unpacked = clone.folder.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    assert!(tar.arg("-xf").arg(folder.join(&archive)).arg("-C").arg(&unpacked).status().unwrap().success());
    let inside = unpacked.join(format!("outrider-{VERSION}"));
    for file in
        ["README.md", "docs/settings.md", "CHANGELOG.md", "LICENSE", "outrider.service", "outrider.env"]
    {
        assert!(inside.join(file).is_file(), "{file} is not in the archive");
    }
    let version = Command::new(inside.join("outrider")).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("outrider {VERSION}\n"));

    // The same again makes the same archive; a damaged one is found.
    let again = clone.folder.path().join("again");
    assert!(clone.release(&["--binaries", again.to_str().unwrap()]).status.success());
    assert_eq!(read(&again.join("SHA256SUMS")), sums);
    std::fs::write(again.join(&archive), "damaged").unwrap();
    assert!(!check(&again));
}

#[test]
fn a_release_is_refused_before_anything_is_built() {
    let clone = Clone::new(&format!("outrider {VERSION}"));
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let output = clone.release(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
        assert!(!clone.path().join(format!("target/outrider-{VERSION}")).exists());
    };
    refused(&["--image"], 2, "usage: deploy/release");
    refused(&["--arch"], 2, "usage: deploy/release");
    refused(&["--arch", "mips"], 2, "usage: deploy/release");
    refused(&["a", "b"], 2, "usage: deploy/release");
    refused(&[], 1, "there is no docker for the images; --binaries makes the rest");
    clone.tool("docker", "#!/bin/sh\nexit 1\n");
    refused(&[], 1, "docker does not work here; --binaries makes the rest");
    let other = if architecture() == "amd64" { "arm64" } else { "amd64" };
    clone.tool("rustc", "#!/bin/sh\necho /nowhere\n");
    refused(&["--binaries", "--arch", other], 1, "run: rustup target add");
    std::fs::create_dir(clone.path().join("there")).unwrap();
    refused(&["--binaries", "there"], 1, "there is there already");

    clone.change("Cargo.toml", "[package]", "[package]\n# Not committed.");
    refused(&["--binaries"], 1, "the tree has changes that are not committed:\n M Cargo.toml");
    clone.change("CHANGELOG.md", &format!("## [{VERSION}]"), "## [0.0.0]");
    clone.commit();
    refused(&["--binaries"], 1, &format!("CHANGELOG.md says nothing of {VERSION}"));
}

#[test]
fn what_was_built_is_looked_at() {
    let clone = Clone::new("outrider 0.0.0");
    let output = clone.release(&["--binaries"]);
    assert!(said(&output).contains("it says outrider 0.0.0"), "{}", said(&output));
    let clone = Clone::new(&format!("outrider {VERSION}"));
    clone.build(&[]);
    let output = clone.release(&["--binaries"]);
    assert!(said(&output).contains("is not static"), "{}", said(&output));
    assert!(!output.status.success());
}

/// The images: each is built, saved and listed. Docker is one that notes what it is asked.
#[test]
fn a_release_with_images() {
    let clone = Clone::new(&format!("outrider {VERSION}"));
    let asked = clone.folder.path().join("asked");
    clone.tool("docker", &format!("#!/bin/sh\necho \"$*\" >>{}\n", asked.display()));
    let output = clone.release(&[]);
    assert!(output.status.success(), "{}", said(&output));
    let expected = format!(
        "version\nbuild --target agent -t outrider:{VERSION} .\nsave outrider:{VERSION}\n\
         build --target tools -t outrider:{VERSION}-tools .\nsave outrider:{VERSION}-tools\n"
    );
    assert_eq!(read(&asked), expected);
    let sums = read(&clone.path().join(format!("target/outrider-{VERSION}/SHA256SUMS")));
    let files: Vec<&str> = sums.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let file = |kind: &str| format!("outrider-{VERSION}-{kind}-{}.tar.gz", architecture());
    assert_eq!(files, [file("image"), file("linux"), file("tools-image")]);
}
