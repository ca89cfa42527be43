use super::*;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 2);
const OLD: &str = "5.4.0-150-generic";
const NEW: &str = "5.18.0";

/// A view that has the lock of the address, with the interface at index 2.
fn view(release: &str, lease: Option<u32>) -> View {
    let settings =
        Settings { interface: "eth0".to_owned(), vips: vec![(VIP, 32)], lease, adopt: false, source: None };
    let mut view = View::new(settings, release);
    view.link = Link { index: Some(2), up: true };
    // No other process may get in the way of this test: the lock's name is made up.
    let lock = Lock::acquire(&format!("{:?}", std::thread::current().id()), "test", 1);
    view.locks.insert(VIP, lock.unwrap().unwrap());
    view
}

fn entry(index: u32, prefix: u8, mark: Option<u8>, valid: Option<u32>) -> Entry {
    Entry { index, address: VIP, prefix, mark, valid, secondary: false }
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
        assert_eq!(view(release, lease).is_ours(&entry), ours, "{why}");
    }
    let mut view = view(OLD, None);
    view.held = true;
    assert!(view.is_ours(&entry(2, 32, none, None)), "forever, and we added it");
    view.locks.clear();
    assert!(!view.is_ours(&entry(2, 32, none, None)), "another agent has the lock");
}

#[test]
fn a_kernel_that_shows_marks_keeps_them() {
    let mut view = view(OLD, Some(5));
    let foreign = Entry { address: Ipv4Addr::new(192, 0, 2, 1), ..entry(9, 24, Some(18), None) };
    view.follow(Change::Address { entry: foreign, by: 7 }, false);
    assert!(!view.is_ours(&entry(2, 32, None, Some(5))));
    assert!(!view.is_known(&foreign), "what does not matter is not kept");
}

#[test]
fn only_the_loss_of_what_is_held_is_told() {
    let mut view = view(NEW, Some(5));
    let ours = entry(2, 32, Some(MARK), Some(5));
    let gone = Change::AddressGone { entry: ours, by: 0 };
    view.learn(ours);
    assert_eq!(view.follow(gone.clone(), false), [], "a leftover");
    view.held = true;
    view.learn(ours);
    assert_eq!(view.follow(gone.clone(), true), [], "our own doing, told late");
    assert!(view.is_known(&ours));
    assert_eq!(view.follow(gone.clone(), false), [Event::Gone { address: VIP }]);
    assert_eq!(view.follow(gone, false), [], "once");
    view.learn(ours);
    assert_eq!(view.see(view.link, vec![ours]), []);
    assert_eq!(view.see(view.link, vec![]), [Event::Gone { address: VIP }], "lost between two reads");
}

#[test]
fn news_are_told_once() {
    let mut view = view(NEW, Some(5));
    assert_eq!(view.news(), [Event::Link(view.link)]);
    assert_eq!(view.news(), []);
    view.learn(entry(2, 24, None, None));
    view.learn(entry(3, 24, None, None));
    assert_eq!(view.news().len(), 2, "two places");
    view.learn(entry(3, 24, None, Some(9)));
    assert_eq!(view.news(), [], "the same place");
    view.forget(&entry(2, 24, None, None));
    assert_eq!(view.news(), [], "there is still one");
    view.forget(&entry(3, 24, None, None));
    assert_eq!(view.news(), [Event::ForeignGone { address: VIP }]);
}
