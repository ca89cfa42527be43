//! What people get wrong, and what they are told.

use crate::images::AGENT;
use crate::site::{Published, Site, may_run_engines};
use anyhow::{Result, ensure};

const VIP: [&str; 4] = ["-e", "OUTRIDER_VIP=10.10.10.2", "-e", "OUTRIDER_PEERS=10.10.10.11,10.10.10.12"];

#[tokio::test]
async fn what_is_wrong_is_said() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::bare(1, Published::ByProxy).await?;
    let all = ["--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"];
    let cases: [(i64, &str, &[&[&str]]); 5] = [
        (2, "OUTRIDER_VIP is not set; write for example 10.10.10.2", &[&all]),
        (
            2,
            "OUTRIDER_VIPS is not known; did you mean OUTRIDER_VIP?",
            &[&all, &VIP, &["-e", "OUTRIDER_VIPS=x"]],
        ),
        (1, "the capability NET_ADMIN is missing: add \"cap_add:", &[&VIP]),
        (1, "the capability NET_RAW is missing", &[&VIP, &["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"]]),
        (1, "leave out \"user:\" in the compose file", &[&VIP, &all, &["--user", "1000"]]),
    ];
    for (code, said, arguments) in cases {
        let mut run = vec!["run", "--name", "wrong", "--network", "host"];
        run.extend(arguments.iter().copied().flatten());
        run.push(AGENT);
        ensure!(site.docker(0, &run).await.is_err(), "{run:?} ended well");
        let log = site.log(0, "wrong").await?;
        ensure!(log.contains(said), "{run:?}: {log}");
        let state = site.inspect(0, "wrong").await?["State"].clone();
        ensure!(state["ExitCode"] == code, "{run:?}: {state}");
        site.docker(0, &["rm", "wrong"]).await?;
    }
    Ok(())
}

/// Two agents for the same address on one host: the second one waits, and takes over when the first one is gone.
#[tokio::test]
async fn a_second_agent_on_a_host_waits() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(1, Published::ByProxy).await?;
    let mut run = vec!["run", "-d", "--name", "second", "--network", "host", "--restart", "always"];
    run.extend(["--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"]);
    run.extend(VIP);
    run.push(AGENT);
    site.docker(0, &run).await?;
    site.wait_for_line(0, "second", "waiting, without a claim: ").await?;
    site.docker(0, &["rm", "-f", "outrider"]).await?;
    site.wait_for_line(0, "second", "Backup -> Active").await?;
    ensure!(site.lab.wait_for_holder(crate::engine::SOON).await? == 0);
    site.docker(0, &["rm", "-f", "second"]).await?;
    site.wait_until_free(0).await
}
