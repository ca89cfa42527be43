//! A running group, and what befalls it.

use crate::browser::Browser;
use crate::site::{Site, shows};
use outrider::lab::VIP;
use std::time::{Duration, Instant};

/// Everything that is asked for is asked of whom the page came from.
async fn asks_only(browser: &Browser<'_>, url: &str) {
    let requests = browser.requests().await;
    assert!(requests.iter().any(|asked| *asked == format!("{url}group")), "{requests:?}");
    let strangers: Vec<_> =
        requests.iter().filter(|asked| !asked.starts_with(url) && !asked.starts_with("data:")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[tokio::test]
async fn a_failover_appears_by_itself() {
    let site = Site::running(3, &[]).await;
    let holder = site.lab.wait_for_holder(Duration::from_secs(30)).await.unwrap();
    let browser = site.browser().await;
    // Another's page, so that the news has a way to go.
    let from = (holder + 1) % 3;
    browser.open(&site.url(from)).await;
    browser.wait(&format!("document.title === '{} holds {VIP}'", site.name(holder))).await;
    browser.wait("document.querySelector('#alarms').innerText.includes('All well')").await;
    for host in 0..3 {
        browser.wait(&shows(site.name(host), if host == holder { "Active" } else { "Backup" })).await;
    }
    let head = browser.text("section.router").await;
    assert!(
        head.contains(&VIP.to_string()) && head.contains(&format!("{} holds it", site.name(holder))),
        "{head}"
    );
    assert!(head.contains("http://127.0.0.1:80/"), "the checks: {head}");
    assert_eq!(browser.text("#by").await, format!("as seen by {}", site.name(from)));

    // A person looks at something, and keeps looking at it.
    browser.click(&format!("article[data-host={}] summary", site.name(from))).await;
    browser.wait("document.querySelector('.settings')?.innerText.includes('OUTRIDER_VIP')").await;
    browser.eval("window.same = document.querySelector('.settings'); window.same.scrollIntoView()").await;
    browser.wait("scrollY > 100").await;
    let place = "Math.round(window.same.getBoundingClientRect().top)";
    let before = browser.eval(&format!("return {place}")).await;

    let killed = Instant::now();
    Site::kill(&site.balancers[holder]).await;
    browser.wait("document.querySelector('tr.holds') && !document.title.startsWith('!')").await;
    browser.wait(&shows(site.name(holder), "Fault")).await;
    browser
        .wait(&format!(
            "document.title.endsWith(' holds {VIP}') && !document.title.startsWith('{}')",
            site.name(holder)
        ))
        .await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} is not \"a few seconds\"");

    let lines = browser.rows(".line").await;
    let lost = lines.iter().find(|line| line.contains("Active → ✕Fault")).expect("its end");
    assert!(lost.contains(site.name(holder)), "{lines:#?}");
    assert!(lines[..2].iter().any(|line| line.contains("Backup → ●Active")), "newest first: {lines:#?}");
    browser
        .wait(&format!(
            "document.querySelector('#alarms').innerText.includes('{} cannot serve {VIP}')",
            site.name(holder)
        ))
        .await;
    // Where it was, though there is more above it now: no new copy, and not moved.
    assert_eq!(browser.eval("return document.contains(window.same)").await, true);
    browser.wait(&format!("{place} === {before}")).await;

    asks_only(&browser, &site.url(from)).await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_shown_as_such() {
    let mut site = Site::running(3, &[]).await;
    let holder = site.lab.wait_for_holder(Duration::from_secs(30)).await.unwrap();
    let (from, gone) = ((holder + 1) % 3, (holder + 2) % 3);
    {
        let browser = site.browser().await;
        browser.open(&site.url(from)).await;
        browser.wait(&shows(site.name(gone), "Backup")).await;
        Site::kill(&site.agents[gone]).await;
        browser.wait(&shows(site.name(gone), "Unreachable")).await;
        let table = browser.text("section.router tbody").await;
        assert!(table.contains("refused"), "and why: {table}");
        let alarms = browser.text("#alarms").await;
        assert!(
            alarms.contains(&format!("{} (", site.name(gone))) && alarms.contains("cannot be asked"),
            "{alarms}"
        );
        let line = browser.text(".line").await;
        assert!(line.contains(site.name(gone)), "what it told is not forgotten: {line}");
        asks_only(&browser, &site.url(from)).await;
        assert_eq!(browser.complaints("").await, Vec::<String>::new());
    }
    site.agents[gone] = site.start_agent(gone, &[]).await;
}

#[tokio::test]
async fn when_the_agent_is_gone_the_page_says_how_old_it_is_and_comes_back_by_itself() {
    let mut site = Site::running(2, &[]).await;
    let agents = std::mem::take(&mut site.agents);
    let browser = site.browser().await;
    browser.open(&site.url(0)).await;
    browser.wait(&format!("document.title.endsWith(' holds {VIP}')")).await;
    browser.eval("window.loaded = 'once'").await;
    browser.wait("getComputedStyle(document.querySelector('#data')).opacity === '1'").await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
    for agent in &agents {
        Site::kill(agent).await;
    }
    browser.wait("!document.querySelector('#gone').hidden").await;
    let said = browser.text("#gone").await;
    assert!(said.contains("No contact with the agent on lb1"), "{said}");
    assert!(said.contains("Ask another member: lb2"), "{said}");
    // It counts up, though nobody answers.
    browser
        .wait("parseInt(document.querySelector('#age').innerText.match(/is (\\d+) s old/)?.[1]) >= 2")
        .await;
    browser
        .wait("parseInt(document.querySelector('#age').innerText.match(/is (\\d+) s old/)?.[1]) >= 4")
        .await;
    browser.wait("document.title.startsWith('? no contact')").await;
    browser.wait("Number(getComputedStyle(document.querySelector('#data')).opacity) < 0.6").await;
    assert!(browser.text("section.router").await.contains(&VIP.to_string()), "what was known stays");
    // Chromium itself tells of each request that failed.
    assert_eq!(browser.complaints("net::ERR_").await, Vec::<String>::new());

    let _again = (site.start_agent(0, &[]).await, site.start_agent(1, &[]).await);
    browser.wait("document.querySelector('#gone').hidden").await;
    browser
        .wait(&format!("document.title.endsWith(' holds {VIP}') && !document.title.startsWith('?')"))
        .await;
    browser.wait("getComputedStyle(document.querySelector('#data')).opacity === '1'").await;
    assert_eq!(browser.eval("return window.loaded").await, "once");
    asks_only(&browser, &site.url(0)).await;
}

#[tokio::test]
async fn two_addresses_of_both_families_are_of_the_same_hosts() {
    let lists = "10.10.10.11,10.10.10.12,10.10.10.13;2001:db8::11,2001:db8::12,2001:db8::13";
    let variables = [("OUTRIDER_VIP", "10.10.10.2;2001:db8::2"), ("OUTRIDER_PEERS", lists)];
    let site = Site::with_ipv6(3, &variables).await;
    let browser = site.browser().await;
    browser.open(&site.url(0)).await;
    browser.wait("/^lb\\d holds 10\\.10\\.10\\.2, lb\\d holds 2001:db8::2$/.test(document.title)").await;
    // Who answers at two addresses is one host, and holds an address once.
    browser
        .wait("document.querySelector('#alarms').innerText.includes('All well: 3 of 3 hosts ready')")
        .await;
    assert_eq!(browser.eval("return document.querySelectorAll('.hosts article').length").await, 3);
    assert_eq!(browser.eval("return document.querySelectorAll('tr.holds').length").await, 2);
    assert_eq!(browser.rows("section.router").await.len(), 6);
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}
