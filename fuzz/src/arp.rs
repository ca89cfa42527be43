//! ARP, as it comes in from anybody on the link.

use outrider::wire::arp::{Form, announce, decode, decode_frame, request};

/// The input is a frame, or the payload of one.
pub fn run(data: &[u8]) {
    for claim in [decode_frame(data), decode(data)].into_iter().flatten() {
        assert!(!claim.address.is_unspecified(), "a probe is taken for a claim");
        for form in [Form::Request, Form::Reply] {
            let announced = decode_frame(&announce(claim.mac, claim.address, form));
            let same = announced.is_some_and(|said| (said.mac, said.address) == (claim.mac, claim.address));
            assert!(same, "{claim:?} announced reads as {announced:?}");
        }
        if !claim.reply {
            let asked = decode_frame(&request(claim.mac, claim.address, claim.target));
            assert_eq!(asked, Some(claim), "a request reads as another one");
        }
        let _ = claim.to_string();
    }
}
