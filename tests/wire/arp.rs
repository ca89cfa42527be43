//! ARP.

use super::bytes;
use outrider::wire::arp::{self, Claim, Form};
use std::net::Ipv4Addr;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 11);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 12);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 2);
const MAC: [u8; 6] = [2, 0, 0, 0xab, 0xcd, 0xef];

#[test]
fn announcements_go_to_everybody_in_both_forms() {
    let request =
        "ffffffffffff 020000abcdef 0806 0001 0800 06 04 0001 020000abcdef 0a0a0a02 ffffffffffff 0a0a0a02";
    assert_eq!(arp::announce(MAC, VIP, Form::Request), bytes(request));
    let reply =
        "ffffffffffff 020000abcdef 0806 0001 0800 06 04 0002 020000abcdef 0a0a0a02 ffffffffffff 0a0a0a02";
    assert_eq!(arp::announce(MAC, VIP, Form::Reply), bytes(reply));
}

#[test]
fn a_probe_claims_nothing() {
    let probe =
        "ffffffffffff 020000abcdef 0806 0001 0800 06 04 0001 020000abcdef 00000000 000000000000 0a0a0a02";
    assert_eq!(arp::probe(MAC, VIP), bytes(probe));
    assert_eq!(arp::decode_frame(&bytes(probe)), None);
}

#[test]
fn a_request_asks_for_another_address() {
    let request =
        "ffffffffffff 020000abcdef 0806 0001 0800 06 04 0001 020000abcdef 0a0a0a0b 000000000000 0a0a0a0c";
    assert_eq!(arp::request(MAC, SOURCE, PEER), bytes(request));
}

#[test]
fn claims_are_read() {
    let claim = |address, reply, target| Some(Claim { address, mac: MAC, reply, target });
    assert_eq!(arp::decode_frame(&arp::announce(MAC, VIP, Form::Request)), claim(VIP, false, VIP));
    assert_eq!(arp::decode_frame(&arp::announce(MAC, VIP, Form::Reply)), claim(VIP, true, VIP));
    let mut padded = arp::request(MAC, SOURCE, PEER);
    padded.resize(60, 0);
    assert_eq!(arp::decode_frame(&padded), claim(SOURCE, false, PEER));
    assert_eq!(arp::decode_frame(&padded).unwrap().to_string(), "10.10.10.11 is at 02:00:00:ab:cd:ef");
}

#[test]
fn what_is_not_arp_for_ipv4_over_ethernet_claims_nothing() {
    let good = arp::announce(MAC, VIP, Form::Reply);
    for length in 0..good.len() {
        assert_eq!(arp::decode_frame(&good[..length]), None);
    }
    // EtherType, hardware type, protocol type, the two lengths, operation (3: reverse ARP).
    for (offset, value) in [(13, 0x00), (15, 6), (17, 0x01), (18, 8), (19, 16), (21, 3), (21, 0)] {
        let mut other = good.clone();
        other[offset] = value;
        assert_eq!(arp::decode_frame(&other), None, "byte {offset}");
    }
}
