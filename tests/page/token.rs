//! A group that answers only to those who have the token.

use crate::site::{Site, shows};
use outrider::lab::VIP;

#[tokio::test]
async fn the_page_asks_for_the_token_and_keeps_it_for_the_tab() {
    let token = ("OUTRIDER_STATUS_TOKEN", "open-sesame-0123456789");
    let site = Site::running(2, &[token]).await;
    let browser = site.browser().await;
    browser.open(&site.url(0)).await;
    browser.wait("!document.querySelector('#door').hidden").await;
    assert_eq!(browser.eval("return document.activeElement.id").await, "token");
    let shown = browser.text("body").await;
    assert!(!shown.contains(&VIP.to_string()), "{shown}");

    browser.type_into("#token", "open-barley").await;
    browser.click("#door button").await;
    browser.wait("document.querySelector('#refused').innerText === 'This is not the token.'").await;
    assert_eq!(browser.eval("return sessionStorage.length").await, 0);
    assert!(!browser.text("body").await.contains(&VIP.to_string()));

    browser.type_into("#token", "open-sesame-0123456789\u{E007}").await; // Enter
    browser.wait("document.querySelector('#door').hidden").await;
    browser.wait(&format!("{} || {}", shows("lb1", "Active"), shows("lb2", "Active"))).await;
    // The members trust each other with it.
    browser.wait_for_text("#alarms", "All well").await;

    browser.open(&site.url(0)).await;
    browser.wait(&format!("document.title.endsWith(' holds {VIP}')")).await;
    assert_eq!(browser.eval("return document.querySelector('#door').hidden").await, true);
    let requests = browser.requests().await;
    assert!(requests.iter().all(|url| !url.contains("sesame")), "{requests:?}");
    // Chromium itself tells of the two refusals.
    assert_eq!(browser.complaints("401 (Unauthorized)").await, Vec::<String>::new());
}
