use super::*;

const MS: Duration = Duration::from_millis(1);
const WALL: Duration = Duration::from_secs(1_700_000_000);
const OURS: [u8; 8] = *b"1111\0\0\0\0";

fn peer(last: u8) -> IpAddr {
    IpAddr::from([10, 10, 10, last])
}

fn pass(password: &[u8; 8]) -> Proof {
    Proof { kind: 1, password: Some(*password), signature: None }
}

fn signed(at: Duration, verdict: Verdict) -> Proof {
    let stamp = Stamp::next(at, None);
    Proof { signature: Some(Signature { key: 1, stamp, verdict, wall: WALL }), ..Proof::default() }
}

fn verifier(auth: Auth) -> Verifier {
    Verifier::new(auth, 200 * MS)
}

/// Kind of the doubt, and whether it counts as a holder.
fn doubt(verifier: &mut Verifier, proof: &Proof) -> Option<(&'static str, bool)> {
    verifier.judge(peer(12), proof).err().map(|doubt| (doubt.kind, doubt.counts))
}

#[test]
fn passwords_must_be_alike_and_others_count_as_a_holder() {
    let mut with = verifier(Auth::Pass(OURS));
    assert_eq!(doubt(&mut with, &pass(&OURS)), None);
    assert_eq!(doubt(&mut with, &pass(b"22222222")), Some(("password", true)));
    assert_eq!(doubt(&mut with, &Proof::default()), Some(("authentication", true)));
    let mut without = verifier(Auth::None);
    assert_eq!(doubt(&mut without, &Proof::default()), None);
    assert_eq!(doubt(&mut without, &pass(&OURS)), Some(("authentication", true)));
    let ah = Proof { kind: 2, ..Proof::default() };
    assert_eq!(doubt(&mut without, &ah), Some(("authentication type", true)));
    assert_eq!(doubt(&mut with, &ah), Some(("authentication type", true)));
    assert!(!format!("{with:?} {:?}", pass(&OURS)).contains("49"), "no secret is shown");
}

#[test]
fn the_three_modes_of_a_roll_out() {
    for (mode, unsigned, wrong) in [
        (Mode::Enforce, Some(("signature", false)), Some(("key", false))),
        (Mode::Permissive, None, Some(("key", true))),
        (Mode::ReceiveOnly, None, Some(("key", true))),
    ] {
        let mut verifier = verifier(Auth::Signed(mode));
        assert_eq!(doubt(&mut verifier, &Proof::default()), unsigned, "{mode:?}");
        assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::Wrong)), wrong, "{mode:?}");
        assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::UnknownKey)), wrong, "{mode:?}");
        assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::Valid)), None, "{mode:?}");
    }
    let mut none = verifier(Auth::None);
    assert_eq!(
        doubt(&mut none, &signed(WALL, Verdict::Wrong)),
        None,
        "no keys: a signature is not looked at"
    );
}

#[test]
fn a_stamp_comes_once_and_only_grows() {
    let mut verifier = verifier(Auth::Signed(Mode::Enforce));
    assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::Valid)), None);
    assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::Valid)), Some(("replay", false)));
    assert_eq!(doubt(&mut verifier, &signed(WALL - 200 * MS, Verdict::Valid)), Some(("replay", false)));
    assert_eq!(doubt(&mut verifier, &signed(WALL + 200 * MS, Verdict::Valid)), None);
    let other = verifier.judge(peer(13), &signed(WALL, Verdict::Valid));
    assert!(other.is_ok(), "each sender has its own sequence");
    let forged = signed(WALL + 900 * MS, Verdict::Wrong);
    assert_eq!(doubt(&mut verifier, &forged), Some(("key", false)));
    let next = signed(WALL + 400 * MS, Verdict::Valid);
    assert_eq!(doubt(&mut verifier, &next), None, "a forged stamp moves nothing");
}

#[test]
fn clocks_apart_are_named_and_then_rejected_as_a_holder() {
    let seconds = Duration::from_secs;
    let auth = || verifier(Auth::Signed(Mode::Enforce));
    for at in [WALL - seconds(6), WALL + seconds(6)] {
        assert_eq!(doubt(&mut auth(), &signed(at, Verdict::Valid)), Some(("clock", true)));
    }
    let said = |at| auth().judge(peer(12), &signed(at, Verdict::Valid)).unwrap();
    assert_eq!(said(WALL + seconds(2)), None);
    assert!(said(WALL + seconds(3)).unwrap().contains("3.0 s ahead of"));
    assert!(said(WALL - seconds(4)).unwrap().contains("4.0 s behind"));
    let slow = Verifier::new(Auth::Signed(Mode::Enforce), seconds(10));
    assert!(slow.clone().judge(peer(12), &signed(WALL - seconds(29), Verdict::Valid)).is_ok());
    assert!(slow.clone().judge(peer(12), &signed(WALL - seconds(31), Verdict::Valid)).is_err());
}

#[test]
fn an_old_recording_does_not_hold_a_claim_back_for_longer_than_it_is() {
    let mut verifier = verifier(Auth::Signed(Mode::Enforce));
    let old = signed(WALL - Duration::from_secs(60), Verdict::Valid);
    assert_eq!(doubt(&mut verifier, &old), Some(("clock", true)));
    // Past what needs remembering the recording could start anew, but for the stamp that was kept for it.
    let again = doubt(&mut verifier, &old);
    assert_eq!(again, Some(("replay", false)));
}

#[test]
fn a_clock_that_was_ahead_is_believed_once_it_is_right() {
    let mut verifier = verifier(Auth::Signed(Mode::Enforce));
    let ahead = signed(WALL + Duration::from_secs(3600), Verdict::Valid);
    assert_eq!(doubt(&mut verifier, &ahead), Some(("clock", true)));
    assert_eq!(doubt(&mut verifier, &signed(WALL, Verdict::Valid)), None);
}

#[test]
fn many_senders_fill_no_memory() {
    let mut verifier = verifier(Auth::Signed(Mode::Enforce));
    for sender in 0..1000_u32 {
        let from = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + sender));
        assert!(verifier.judge(from, &signed(WALL, Verdict::Valid)).is_ok());
    }
    assert_eq!(verifier.last.len(), SENDERS_MAX);
}

#[test]
fn stamps_sent_never_go_backwards() {
    let first = Stamp::next(WALL + 500 * MS, None);
    assert_eq!((first.seconds, first.fraction, first.counter), (1_700_000_000, 32_768, 0));
    let back = Stamp::next(WALL, Some(first));
    assert_eq!(back, Stamp { counter: 1, ..first }, "the clock was set back");
    let full = Stamp { seconds: 7, fraction: u16::MAX, counter: u16::MAX };
    assert_eq!(Stamp::next(WALL, Some(full)), Stamp::next(WALL, None));
    assert_eq!(Stamp::from(u64::from(first)), first);
    let carried = Stamp::next(Duration::ZERO, Some(full));
    assert_eq!(carried, Stamp { seconds: 8, fraction: 0, counter: 0 });
    let mut last = None;
    for step in [5, 9, 3, 3, 900, 2, 0, 901, 901] {
        let next = Stamp::next(Duration::from_millis(step), last);
        assert!(last.is_none_or(|last| next > last));
        last = Some(next);
    }
    assert_eq!(Stamp::next(WALL + 250 * MS, None).time(), WALL + 250 * MS);
}
