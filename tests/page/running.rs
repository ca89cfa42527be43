//! A running group, and what befalls it.

use crate::browser::{Browser, SOON};
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
    let holder = site.lab.wait_for_holder(SOON).await.unwrap();
    let browser = site.browser().await;
    // Another's page, so that the news has a way to go.
    let from = (holder + 1) % 3;
    browser.open(&site.url(from)).await;
    browser.wait(&format!("document.title === '{} holds {VIP}'", site.name(holder))).await;
    browser.wait_for_text("#alarms", "All well: 3 of 3 hosts ready").await;
    for host in 0..3 {
        browser.wait(&shows(site.name(host), if host == holder { "Active" } else { "Backup" })).await;
    }
    browser.wait_for_text(".address", &VIP.to_string()).await;
    browser.wait_for_text(".holder", &format!("{} holds it", site.name(holder))).await;
    browser.wait_for_text("section.router tbody", "http://127.0.0.1:80/").await;
    assert_eq!(browser.text("#by").await, format!("as seen by {}", site.name(from)));

    // A person looks at something, and keeps looking at it.
    browser.click(&format!("article[data-host={}] summary", site.name(from))).await;
    browser.wait("document.querySelector('.settings')?.innerText.includes('OUTRIDER_VIP')").await;
    browser.eval("window.same = document.querySelector('.settings'); window.same.scrollIntoView()").await;
    browser.wait("scrollY > 100").await;
    let place = "Math.round(window.same.getBoundingClientRect().top)";
    let before = browser.eval(&format!("return {place}")).await;

    Site::kill(&site.balancers[holder]).await;
    let next = site.lab.wait_for_successor(holder, SOON).await.unwrap();
    let moved = Instant::now();
    browser.wait(&format!("document.title === '{} holds {VIP}'", site.name(next))).await;
    let took = moved.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} are not a few seconds");
    browser.wait(&shows(site.name(holder), "Fault")).await;
    browser.wait_for_text("#alarms", &format!("{} cannot serve {VIP}", site.name(holder))).await;
    let lines = browser.rows(".line").await;
    let told = |host: usize, change: &str| {
        lines.iter().any(|line| line.contains(&format!(" {} {change} ", site.name(host))))
    };
    assert!(told(holder, "Active → ✕Fault") && told(next, "Backup → ●Active"), "{lines:#?}");
    let times = "return [...document.querySelectorAll('.line time')].map(time => time.dateTime)";
    let times: Vec<String> = serde_json::from_value(browser.eval(times).await).unwrap();
    assert!(times.len() > 4 && times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    // Where it was, though there is more above it now: no new copy, and not moved.
    assert_eq!(browser.eval("return document.contains(window.same)").await, true);
    browser.wait(&format!("{place} === {before}")).await;

    asks_only(&browser, &site.url(from)).await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_shown_as_such() {
    let site = Site::running(3, &[]).await;
    let holder = site.lab.wait_for_holder(SOON).await.unwrap();
    let (from, gone) = ((holder + 1) % 3, (holder + 2) % 3);
    let browser = site.browser().await;
    browser.open(&site.url(from)).await;
    browser.wait(&shows(site.name(gone), "Backup")).await;
    Site::kill(&site.agents[gone]).await;
    browser.wait(&shows(site.name(gone), "Unreachable")).await;
    // And why.
    browser.wait_for_text("section.router tbody", "Connection refused").await;
    let alarm = format!("{} ({}) cannot be asked", site.name(gone), site.lab.hosts()[gone].address());
    browser.wait_for_text("#alarms", &alarm).await;
    // What it told is not forgotten.
    let lines = browser.rows(".line").await;
    assert!(lines.iter().any(|line| line.contains(&format!(" {} ", site.name(gone)))), "{lines:#?}");
    asks_only(&browser, &site.url(from)).await;
    let _again = site.start_agent(gone, &[]).await;
    browser.wait(&shows(site.name(gone), "Backup")).await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
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
