use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 2));
const OLD: &str = "5.4.0-150-generic";
const NEW: &str = "5.18.0";

/// A router that has the lock of the address, with the interface at index 2.
fn router(release: &str, lease: Option<u32>) -> Router {
    let settings =
        Settings { interface: "eth0".to_owned(), vips: vec![(VIP, 32)], lease, adopt: false, source: None };
    let mut router = Router::new(settings, release);
    router.link = Link { index: Some(2), up: true };
    // No other process may get in the way of this test: the lock's name is made up.
    let lock = Lock::acquire(&format!("{:?}", std::thread::current().id()), "test", 1);
    router.locks.insert(VIP, lock.unwrap().unwrap());
    router
}

fn entry(index: u32, prefix: u8, mark: Option<u8>, valid: Option<u32>) -> Entry {
    Entry { index, address: VIP, prefix, mark, valid, secondary: false, tentative: false }
}

#[test]
fn releases_that_keep_marks() {
    for (release, kept) in [
        ("5.18.0", true),
        ("6.1.0-18-amd64\n", true),
        ("10.0", true),
        ("5.17.9", false),
        ("4.19.0-26-amd64", false),
        ("3.10.0-1160.el7.x86_64", false),
        ("", true),
        ("linux", true),
    ] {
        assert_eq!(keeps_marks(release), kept, "{release}");
    }
}

#[test]
fn whose_an_address_is() {
    let (marked, other, none) = (Some(MARK), Some(18), None);
    for (release, lease, entry, ours, why) in [
        (NEW, Some(5), entry(2, 32, marked, Some(5)), true, "marked"),
        (NEW, Some(5), entry(3, 24, marked, None), true, "marked, wherever and however it is there"),
        (NEW, Some(5), entry(2, 32, none, Some(5)), false, "unmarked where marks are kept"),
        (NEW, Some(5), entry(2, 32, other, Some(5)), false, "somebody else's mark"),
        (OLD, Some(5), entry(2, 32, none, Some(5)), true, "no marks: our place, a lifetime like ours"),
        (OLD, Some(5), entry(2, 32, none, Some(6)), false, "longer than our lease"),
        (OLD, Some(5), entry(2, 32, none, None), false, "without limit"),
        (OLD, Some(5), entry(2, 24, none, Some(5)), false, "another prefix"),
        (OLD, Some(5), entry(3, 32, none, Some(5)), false, "another interface"),
        (OLD, None, entry(2, 32, none, None), false, "forever: could be anybody's"),
    ] {
        assert_eq!(router(release, lease).is_ours(&entry), ours, "{why}");
    }
    let mut router = router(OLD, None);
    router.held = true;
    assert!(router.is_ours(&entry(2, 32, none, None)), "forever, and we added it");
    router.locks.clear();
    assert!(!router.is_ours(&entry(2, 32, none, None)), "another agent has the lock");
}

#[test]
fn a_kernel_that_shows_marks_keeps_them() {
    let mut router = router(OLD, Some(5));
    let foreign = Entry { address: Ipv4Addr::new(192, 0, 2, 1).into(), ..entry(9, 24, Some(18), None) };
    router.see(router.link, &[foreign]);
    assert!(!router.is_ours(&entry(2, 32, None, Some(5))));
    assert!(!router.is_there(&foreign), "what does not matter is not kept");
}

#[test]
fn only_the_loss_of_what_is_held_is_told() {
    for release in [OLD, NEW] {
        let mut router = router(release, Some(5));
        let link = router.link;
        let ours = router.places(2);
        assert_eq!(router.see(link, &ours), []);
        assert_eq!(router.see(link, &[]), [], "a leftover");
        router.held = true;
        router.learn(ours[0]);
        assert_eq!(router.see(link, &ours), []);
        assert_eq!(router.see(link, &[]), [Event::Gone { address: VIP }]);
        assert_eq!(router.see(link, &[]), [], "once");
        router.learn(ours[0]);
        assert_eq!(
            router.see(Link::ABSENT, &[]),
            [Event::Gone { address: VIP }],
            "and its interface with it"
        );
    }
}

#[test]
fn only_what_contradicts_is_news() {
    for release in [OLD, NEW] {
        let mut router = router(release, Some(5));
        let ours = router.places(2)[0];
        let (there, gone) = (Change::Address(ours), Change::AddressGone(ours));
        assert!(router.is_contradicted_by(&there), "from nowhere");
        assert!(!router.is_contradicted_by(&gone));
        router.learn(ours);
        assert!(!router.is_contradicted_by(&there), "our own doing, told late");
        let renewed = Entry { valid: Some(4), ..ours };
        assert!(!router.is_contradicted_by(&Change::Address(renewed)));
        assert!(router.is_contradicted_by(&gone));
        for other in [Entry { mark: Some(18), ..ours }, Entry { valid: None, mark: None, ..ours }] {
            assert!(router.is_contradicted_by(&Change::Address(other)), "{other:?}");
        }
        let second = Entry { prefix: 24, ..ours };
        assert!(router.is_contradicted_by(&Change::Address(second)), "another entry of the address");
        assert!(!router.is_contradicted_by(&Change::AddressGone(second)));
        let nobodys = Entry { address: Ipv4Addr::new(192, 0, 2, 1).into(), ..ours };
        assert!(!router.is_contradicted_by(&Change::Address(nobodys)));
    }
}

#[test]
fn news_of_links() {
    let mut router = router(NEW, Some(5));
    let up = router.link;
    let named = |name: &str, link| Change::Link { name: Some(name.to_owned()), link };
    let down = Link { up: false, ..up };
    let other = Link { index: Some(3), up: true };
    assert!(!router.is_contradicted_by(&named("eth0", up)));
    assert!(router.is_contradicted_by(&named("eth0", down)));
    assert!(router.is_contradicted_by(&named("eth0", other)), "made anew, or renamed");
    assert!(router.is_contradicted_by(&named("eth7", up)), "renamed");
    assert!(!router.is_contradicted_by(&named("eth7", other)));
    assert!(!router.is_contradicted_by(&Change::Link { name: None, link: up }));
    assert!(router.is_contradicted_by(&Change::Link { name: None, link: down }));
    assert!(!router.is_contradicted_by(&Change::Link { name: None, link: other }));
    assert!(router.is_contradicted_by(&Change::LinkGone { index: 2 }));
    assert!(!router.is_contradicted_by(&Change::LinkGone { index: 3 }));
    router.link = Link::ABSENT;
    assert!(!router.is_contradicted_by(&Change::LinkGone { index: 2 }));
}

#[test]
fn a_link_local_address_counts_on_our_interface_only() {
    let address = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
    let mut router = router(NEW, Some(5));
    router.settings.vips = vec![(address, 128)];
    let foreign = |index| Entry { address, ..entry(index, 64, None, None) };
    assert!(!router.is_contradicted_by(&Change::Address(foreign(3))));
    router.see(router.link, &[foreign(3)]);
    assert_eq!(router.foreign().count(), 0);
    assert!(router.is_contradicted_by(&Change::Address(foreign(2))));
    router.see(router.link, &[foreign(2), foreign(3)]);
    assert_eq!(router.foreign().count(), 1);
}

#[test]
fn a_source_is_there_once_it_can_be_used() {
    let source = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11));
    let mut router = router(NEW, Some(5));
    router.settings.source = Some(source);
    let there = |tentative| Entry { address: source, tentative, ..entry(2, 64, None, None) };
    router.see(router.link, &[there(true)]);
    assert!(router.news().contains(&Event::Source { present: false }));
    assert!(router.is_contradicted_by(&Change::Address(there(false))));
    router.see(router.link, &[there(false)]);
    assert_eq!(router.news(), [Event::Source { present: true }]);
}

#[test]
fn news_are_told_once() {
    let mut router = router(NEW, Some(5));
    assert_eq!(router.news(), [Event::Link(router.link)]);
    assert_eq!(router.news(), []);
    router.learn(entry(2, 24, None, None));
    router.learn(entry(3, 24, None, None));
    assert_eq!(router.news().len(), 2, "two places");
    router.learn(entry(3, 24, None, Some(9)));
    assert_eq!(router.news(), [], "the same place");
    router.forget(&entry(2, 24, None, None));
    assert_eq!(router.news(), [], "there is still one");
    router.forget(&entry(3, 24, None, None));
    assert_eq!(router.news(), [Event::ForeignGone { address: VIP }]);
}
