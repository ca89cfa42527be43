//! The README's lines for docker, as they are printed, in the README's order.

use crate::engine::{REGISTRY, REGISTRY_ADDRESS, SOON};
use crate::images::{AGENT, BALANCER, BUILDS};
use crate::site::{Bounds, Published, Site, may_run_engines};
use anyhow::{Context, Result, ensure};
use outrider::lab::process::Process;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use tokio::process::Command;

struct Readme {
    text: String,
    /// The lines that were run.
    run: BTreeSet<String>,
}

impl Readme {
    fn read() -> Result<Readme> {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))?;
        Ok(Readme { text, run: BTreeSet::new() })
    }

    /// Its lines that begin so.
    fn lines(&self, begin: &str) -> Vec<String> {
        self.text.lines().map(str::trim).filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }

    /// The same; they are run now.
    fn take(&mut self, begin: &str) -> Result<Vec<String>> {
        let found = self.lines(begin);
        ensure!(!found.is_empty(), "the README has no line that begins with {begin:?}");
        self.run.extend(found.iter().cloned());
        Ok(found)
    }

    async fn run(&mut self, site: &Site, host: usize, begin: &str) -> Result<()> {
        for line in self.take(begin)? {
            site.beside_deploy(host, &line).await.with_context(|| line.clone())?;
        }
        Ok(())
    }
}

/// Debian's registry, which the engines know by the name that the README has.
async fn registry(site: &Site) -> Result<Process> {
    let namespace = site.lab.client_namespace();
    namespace.add_address("eth0", format!("{REGISTRY_ADDRESS}/24").parse()?).await?;
    let folder = site.deploy(0).with_file_name("registry");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: '{}'\nhttp:\n  addr: {REGISTRY_ADDRESS}:80\n",
        folder.display()
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let process = Process::start(namespace, "registry", command).await?;
    process.wait_for_line("listening on", SOON).await?;
    Ok(process)
}

#[tokio::test]
async fn its_lines_bring_two_hosts_from_nothing_to_an_address() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let mut readme = Readme::read()?;
    let site = Site::bare(2, Published::ByProxy).await?;
    // These were run where the images come from.
    ensure!(readme.take("docker build ")?.iter().all(|line| line == BUILDS[0]));
    ensure!(readme.text.contains(&format!("`{}`", BUILDS[1])), "no line for the other image");

    // Through a registry.
    let registry = registry(&site).await?;
    readme.run(&site, 0, "docker tag ").await?;
    readme.run(&site, 0, "docker push ").await?;
    site.docker(1, &["rmi", AGENT]).await?;
    let version = site.docker(1, &["run", "--rm", &format!("{REGISTRY}/{AGENT}"), "--version"]).await?;
    ensure!(version.contains(concat!("outrider ", env!("CARGO_PKG_VERSION"))), "{version}");
    drop(registry);

    // Through a file.
    ensure!(site.docker(1, &["run", "--rm", AGENT, "--version"]).await.is_err(), "host 2 has no such image");
    readme.run(&site, 0, "docker save ").await?;
    let file = |host| site.deploy(host).with_file_name("outrider.tar");
    std::fs::copy(file(0), file(1))?;
    readme.run(&site, 1, "docker load ").await?;

    // By docker-compose, then without it.
    for host in 0..2 {
        site.up_balancer(host, BALANCER).await?;
        readme.run(&site, host, "docker-compose ").await?;
    }
    site.settle().await?;
    for host in 0..2 {
        site.compose(host, &["down"]).await?;
        site.wait_until_free(host).await?;
        readme.run(&site, host, "docker run ").await?;
    }
    let (holder, since) = (site.settle().await?, Instant::now());
    readme.run(&site, holder, "docker exec ").await?;
    site.settle().await?;
    site.assert_account("drain and undrain", since, Bounds::HAND_OVER).await?;
    for host in 0..2 {
        site.docker(host, &["rm", "-f", "outrider"]).await?;
    }

    let left: Vec<_> = readme.lines("docker").into_iter().filter(|line| !readme.run.contains(line)).collect();
    ensure!(left.is_empty(), "not run: {left:?}");
    site.take_down().await
}
