//! What is on the wire: VRRP adverts and ARP.
