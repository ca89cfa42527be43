//! The environments that the catalog template and the compose file yield start the real agent.

use super::{PROGRAM, catalog, entries, read, tree, yaml};
use anyhow::{Context, Result};
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// What a container of the catalog's service gets for these answers; questions left open have their defaults.
fn from_catalog(answers: &[(&str, &str)]) -> Vec<(String, String)> {
    let folder = tree("rancher-compose/templates/outrider/0");
    let questions = catalog::questions(&yaml(&read(&folder.join("rancher-compose.yml"))));
    let mut answered: BTreeMap<_, _> =
        questions.into_iter().map(|question| (question.variable, question.default)).collect();
    for (variable, answer) in answers {
        *answered.get_mut(*variable).expect(variable) = (*answer).to_owned();
    }
    let compose = yaml(&read(&folder.join("docker-compose.yml")));
    let environment = entries(&compose["services"]["outrider"]["environment"]);
    let filled = environment.into_iter().map(|(name, value)| {
        let text = answered.iter().fold(value.as_str().unwrap().to_owned(), |text, (variable, answer)| {
            text.replace(&format!("${{{variable}}}"), answer)
        });
        (name.to_owned(), text)
    });
    filled.collect()
}

/// Starts the agent with this environment on two hosts of a lab, and waits until one of them has the address.
async fn one_of_two_holds(environment: &[(String, String)]) -> Result<(Lab, Vec<Process>, usize)> {
    let lab = Lab::new(2, PROGRAM).await?;
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut processes = Vec::new();
    for host in lab.hosts() {
        processes.push(host.start_agent(&environment).await?);
    }
    for host in lab.hosts() {
        processes.push(host.start_balancer().await?);
    }
    let said = || processes.iter().map(|process| process.tail(10)).collect::<Vec<_>>().join("\n");
    let holder = lab.wait_for_holder(SOON).await.with_context(said)?;
    assert_eq!(lab.holders().await?, [holder]);
    Ok((lab, processes, holder))
}

#[tokio::test]
async fn the_catalogs_default_answers_start_the_agent() -> Result<()> {
    let environment = from_catalog(&[("OUTRIDER_VIP", &VIP.to_string())]);
    assert!(
        environment.contains(&("OUTRIDER_CHECK".to_owned(), String::new())),
        "left open: {environment:?}"
    );
    one_of_two_holds(&environment).await?;
    Ok(())
}

/// The load balancer and the check exclude each other, so there are two ways to answer everything.
#[tokio::test]
async fn every_question_answered_starts_the_agent() -> Result<()> {
    for (left_open, version, interval) in [("OUTRIDER_CHECK", "3", "100ms"), ("OUTRIDER_LB", "2", "1s")] {
        let mut answers = BTreeMap::from([
            ("OUTRIDER_VIP", "10.10.10.2/24"),
            ("OUTRIDER_HOST_LABEL", "role=load-balancer"),
            ("OUTRIDER_LB", "lb/lb"),
            ("OUTRIDER_CHECK", "http://127.0.0.1:80/; tcp://127.0.0.1:80"),
            ("OUTRIDER_CHECK_INTERVAL", "500ms"),
            ("OUTRIDER_ADVERT_INTERVAL", interval),
            ("OUTRIDER_VRRP_VERSION", version),
            ("OUTRIDER_VRID", "77"),
            ("OUTRIDER_INTERFACE", "eth0"),
            ("OUTRIDER_PREEMPT", "true"),
            ("OUTRIDER_LOG", "debug"),
            ("OUTRIDER_LOG_FORMAT", "json"),
        ]);
        answers.remove(left_open);
        let environment = from_catalog(&answers.into_iter().collect::<Vec<_>>());
        let open: Vec<_> = environment.iter().filter(|(_, value)| value.is_empty()).collect();
        assert_eq!(open, [&(left_open.to_owned(), String::new())]);
        let (_lab, processes, holder) = one_of_two_holds(&environment).await?;
        let line = processes[holder].wait_for_line("virtual router 77", SOON).await?;
        serde_json::from_str::<serde_json::Value>(&line.text)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_compose_files_environment_starts_the_agent() -> Result<()> {
    let text = read(&tree("deploy/outrider.env"));
    let lines =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once('=').expect(line));
    let environment: Vec<_> = lines
        .map(|(name, value)| match name {
            "OUTRIDER_VIP" => (name.to_owned(), VIP.to_string()),
            "OUTRIDER_PEERS" => (name.to_owned(), "10.10.10.11,10.10.10.12".to_owned()),
            _ => (name.to_owned(), value.to_owned()),
        })
        .collect();
    assert_eq!(environment.len(), 3, "{environment:?}");
    one_of_two_holds(&environment).await?;
    Ok(())
}
