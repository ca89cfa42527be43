//! The images: built once, and loaded by every engine.

use crate::engine::{Engine, kept, run};
use anyhow::{Context, Result, ensure};
use outrider::lab::namespace::Namespace;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// As the README and deploy/docker-compose.yml name it.
pub const AGENT: &str = concat!("outrider:", env!("CARGO_PKG_VERSION"));
/// The same program; another image.
pub const NEXT_AGENT: &str = "outrider:next";
pub const TOOLS: &str = concat!("outrider:", env!("CARGO_PKG_VERSION"), "-tools");
/// The README's lines that make these two.
pub const BUILDS: [&str; 2] = [
    concat!("docker build -t outrider:", env!("CARGO_PKG_VERSION"), " ."),
    concat!("docker build --target tools -t outrider:", env!("CARGO_PKG_VERSION"), "-tools ."),
];
pub const BALANCER: &str = "balancer:1";
pub const NEXT_BALANCER: &str = "balancer:2";

/// A cold build on two busy processors.
const BUILD: Duration = Duration::from_secs(1500);

/// A balancer that says which host it is on.
const BALANCER_CONFIG: &str = "\
global
    maxconn 4000
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
frontend web
    bind :80
    http-request return status 200 content-type text/plain string \"${NAME}\"
";

/// The archive of all images.
pub async fn archive() -> Result<&'static Path> {
    static ARCHIVE: OnceCell<PathBuf> = OnceCell::const_new();
    ARCHIVE.get_or_try_init(make).await.map(PathBuf::as_path)
}

async fn make() -> Result<PathBuf> {
    let archive = kept()?.join(format!("images-{}.tar", fingerprint()?));
    if archive.exists() {
        return Ok(archive);
    }
    let begun = Instant::now();
    let namespace = Namespace::new("builder").await?;
    // No network: nothing can be fetched but what is in the toolchain's image.
    let engine = Engine::start(&namespace, &["--bridge", "none"]).await?;
    let toolchain = tree("tests/engines/toolchain");
    let name = toolchain_name()?;
    let import = "docker import --change \
                  'ENV PATH=/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true' - toolchain";
    shell(&namespace, &engine, &format!("'{}' | {import}", toolchain.display())).await?;
    let tree = tree("");
    let build = "docker build --build-arg RUST_IMAGE=toolchain .";
    shell(&namespace, &engine, &format!("cd '{}' && {build}", tree.display())).await?;
    // And by the README's lines, as printed, once the image is there that they would fetch.
    shell(&namespace, &engine, &format!("docker tag toolchain {name}")).await?;
    for build in BUILDS {
        shell(&namespace, &engine, &format!("cd '{}' && {build}", tree.display())).await?;
    }
    balancer(&namespace, &engine).await?;
    for (image, next) in [(AGENT, NEXT_AGENT), (BALANCER, NEXT_BALANCER)] {
        let build = format!("printf 'FROM {image}\\nLABEL next=yes\\n' | docker build -t {next} -");
        shell(&namespace, &engine, &build).await?;
    }
    let new = archive.with_extension("new");
    let images = [AGENT, NEXT_AGENT, TOOLS, BALANCER, NEXT_BALANCER].join(" ");
    shell(&namespace, &engine, &format!("docker save -o '{}' {images}", new.display())).await?;
    for old in std::fs::read_dir(kept()?)?.flatten().filter(|old| old.path() != new) {
        let _ = std::fs::remove_file(old.path());
    }
    std::fs::rename(&new, &archive)?;
    println!("the images were built in {:.0?}", begun.elapsed());
    Ok(archive)
}

/// What the Dockerfile takes for a toolchain unless told otherwise.
fn toolchain_name() -> Result<String> {
    let text = std::fs::read_to_string(tree("Dockerfile"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("ARG RUST_IMAGE="));
    name.map(str::to_owned).context("the Dockerfile has no default for RUST_IMAGE")
}

/// haproxy with its libraries, and nothing else.
async fn balancer(namespace: &Namespace, engine: &Engine) -> Result<()> {
    let folder = engine.folder().join("balancer");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("haproxy.cfg"), BALANCER_CONFIG)?;
    let libraries = "ldd /usr/sbin/haproxy | grep -o '/[^ ]*'";
    let files = format!("{{ echo /usr/sbin/haproxy; {libraries}; }}");
    let tar = "tar --create --dereference --absolute-names --files-from=-";
    let import = format!(
        "docker import --change 'CMD [\"/usr/sbin/haproxy\", \"-db\", \"-f\", \"/haproxy.cfg\"]' - {BALANCER}"
    );
    let folder = folder.display();
    shell(namespace, engine, &format!("{files} | {tar} -C '{folder}' haproxy.cfg | {import}")).await
}

async fn shell(namespace: &Namespace, engine: &Engine, script: &str) -> Result<()> {
    let mut command = engine.command("bash");
    command.args(["-c", &format!("set -euo pipefail; {script}")]);
    // Those of whoever runs the tests, with cargo's and rustc's folder first.
    let cargo = std::env::var_os("CARGO").map(PathBuf::from).unwrap_or_default();
    let mut path = OsString::from(cargo.parent().unwrap_or(Path::new("/usr/bin")));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path);
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("DOCKER_CONFIG", engine.folder());
    run(namespace, command, BUILD).await.map(drop)
}

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Of everything that goes into the images.
fn fingerprint() -> Result<String> {
    let mut hash = Sha256::new();
    let mut left: Vec<PathBuf> =
        ["Dockerfile", ".dockerignore", "Cargo.toml", "Cargo.lock", "src", "benches"]
            .into_iter()
            .chain(["tests/engines/toolchain", "tests/engines/images.rs"])
            .map(tree)
            .collect();
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => left.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => files.push(path),
        }
    }
    files.sort();
    for file in files {
        let content = std::fs::read(&file).with_context(|| file.display().to_string())?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    let version = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("-vV")
        .output()?;
    ensure!(version.status.success(), "rustc -vV failed");
    hash.update(version.stdout);
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
