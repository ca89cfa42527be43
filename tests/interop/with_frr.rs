//! outrider and FRR's vrrpd. It speaks multicast only, and has no authentication.

crate::scenarios::tests! { Frr:
    v2 = Speech::V2;
    v3 = Speech::V3;
    ipv6 = Speech::IPV6;
}
