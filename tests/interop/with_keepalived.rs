//! outrider and Debian's keepalived.

crate::scenarios::tests! { Keepalived:
    v2 = Speech::V2;
    v2_unicast = Speech::V2_UNICAST;
    v2_pass = Speech::V2_PASS;
    v3_unicast = Speech::V3_UNICAST;
    v3_multicast = Speech::V3;
    ipv6_multicast = Speech::IPV6;
    ipv6_unicast = Speech::IPV6_UNICAST;
}
