//! The exact texts of the messages.

use super::{VIP, faults, faults_with, file};

#[test]
fn messages_of_single_values() {
    for (name, value, expected) in [
        ("OUTRIDER_VIP", "10.10.10.300/24", "is not an address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "lb.example", "is not an address; write for example 10.10.10.2"),
        (
            "OUTRIDER_VIP",
            "10.10.10.2/",
            "has no prefix length from 1 to 32; write for example 10.10.10.2/24 or 10.10.10.2",
        ),
        (
            "OUTRIDER_VIP",
            "10.10.10.2/0",
            "has no prefix length from 1 to 32; write for example 10.10.10.2/24 or 10.10.10.2",
        ),
        (
            "OUTRIDER_VIP",
            "10.10.10.2/33",
            "has no prefix length from 1 to 32; write for example 10.10.10.2/24 or 10.10.10.2",
        ),
        (
            "OUTRIDER_VIP",
            "10.10.10.2/+24",
            "has no prefix length from 1 to 32; write for example 10.10.10.2/24 or 10.10.10.2",
        ),
        ("OUTRIDER_VIP", "10.10.10.0/24", "is the address of a whole network; write for example 10.10.10.2"),
        (
            "OUTRIDER_VIP",
            "10.10.10.255/24",
            "is the broadcast address of 10.10.10.0/24; write for example 10.10.10.2",
        ),
        ("OUTRIDER_VIP", "224.0.0.18", "is a multicast address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "127.0.0.1", "is a loopback address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "0.0.0.0", "is not an address a host can have; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "255.255.255.255", "is the broadcast address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "ff02::12", "is a multicast address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "::1", "is a loopback address; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "::", "is not an address a host can have; write for example 10.10.10.2"),
        (
            "OUTRIDER_VIP",
            "::ffff:10.0.0.2",
            "is an IPv4 address in the form of an IPv6 one; write for example 10.10.10.2",
        ),
        (
            "OUTRIDER_VIP",
            "2001:db8::2/129",
            "has no prefix length from 1 to 128; write for example 2001:db8::2/64 or 2001:db8::2",
        ),
        ("OUTRIDER_VIP", "2001:db8::/64", "is the address of a whole network; write for example 10.10.10.2"),
        ("OUTRIDER_VIP", "10.0.0.2,", "has an empty item; write for example 10.10.10.2"),
        ("OUTRIDER_INTERFACE", "a name too long!", "is not the name of an interface; write for example eth0"),
        ("OUTRIDER_INTERFACE", "eth0/1", "is not the name of an interface; write for example eth0"),
        ("OUTRIDER_SOURCE", "10.0.0", "is not an address; write for example 10.0.0.11"),
        ("OUTRIDER_SOURCE", "fe80::1", "is IPv6, the virtual router IPv4; write an IPv4 address"),
        ("OUTRIDER_PEERS", "fe80::1", "is IPv6, the virtual router IPv4; write an IPv4 address"),
        ("OUTRIDER_GUARD", "fe80::1", "is IPv6, the virtual router IPv4; write an IPv4 address"),
        (
            "OUTRIDER_PEERS",
            "none",
            "leaves nobody whom adverts could be sent to by unicast; set OUTRIDER_TRANSPORT=multicast, or name the peers",
        ),
        ("OUTRIDER_TRANSPORT", "broadcast", "is neither unicast nor multicast; write for example multicast"),
        (
            "OUTRIDER_SOURCE",
            "10.10.10.2",
            "is an address of OUTRIDER_VIP, which moves between hosts; write a host's own address, for example 10.0.0.11",
        ),
        (
            "OUTRIDER_PEERS",
            "10.10.10.2",
            "is an address of OUTRIDER_VIP, which moves between hosts; write a host's own address, for example 10.0.0.11",
        ),
        (
            "OUTRIDER_PEERS",
            "multicast",
            "is not an address; write for example rancher, or 10.0.0.11,10.0.0.12",
        ),
        (
            "OUTRIDER_PEERS",
            "224.0.0.18",
            "is a multicast address; write for example rancher, or 10.0.0.11,10.0.0.12",
        ),
        (
            "OUTRIDER_PEERS",
            "10.0.0.11,,10.0.0.12",
            "has an empty item; write for example rancher, or 10.0.0.11,10.0.0.12",
        ),
        ("OUTRIDER_PEERS", ",", "has an empty item; write for example rancher, or 10.0.0.11,10.0.0.12"),
        (
            "OUTRIDER_METADATA_URL",
            "169.254.169.250",
            "does not begin with http://; write for example http://169.254.169.250/2016-07-29",
        ),
        (
            "OUTRIDER_METADATA_URL",
            "https://169.254.169.250/2016-07-29",
            "does not begin with http://; write for example http://169.254.169.250/2016-07-29",
        ),
        (
            "OUTRIDER_METADATA_URL",
            "http://",
            "is not a URL: empty host; write for example http://169.254.169.250/2016-07-29",
        ),
        (
            "OUTRIDER_METADATA_URL",
            "http:///latest",
            "is not a URL; write for example http://169.254.169.250/2016-07-29",
        ),
        (
            "OUTRIDER_METADATA_URL",
            "http://10.0.0.300/",
            "is not a URL: invalid IPv4 address; write for example http://169.254.169.250/2016-07-29",
        ),
        (
            "OUTRIDER_METADATA_URL",
            "http://h/?x",
            "has a part after ?, where paths could not be appended; write for example http://169.254.169.250/2016-07-29",
        ),
        ("OUTRIDER_HOST_LABEL", "role", "is not a label with a value; write for example role=load-balancer"),
        (
            "OUTRIDER_STATE_FILE",
            "state.json",
            "is not the absolute path of a file; write for example /var/lib/outrider/state.json",
        ),
        (
            "OUTRIDER_ROUTER_ID",
            "a\nb",
            "is not a name of at most 64 printable characters; write for example lb1",
        ),
        ("OUTRIDER_VRID", "0", "is not a whole number from 1 to 255; write for example 10"),
        ("OUTRIDER_VRID", "256", "is not a whole number from 1 to 255; write for example 10"),
        ("OUTRIDER_VRID", "+7", "is not a whole number from 1 to 255; write for example 10"),
        ("OUTRIDER_PRIORITY", "255", "is not a whole number from 1 to 254; write for example 100"),
        ("OUTRIDER_PREEMPT", "yes", "is neither true nor false; write for example true"),
        ("OUTRIDER_PREEMPT_DELAY", "2h", "is not from 0s to 1h; write for example 5s"),
        ("OUTRIDER_VRRP_VERSION", "4", "is neither 3 nor 2; write for example 3"),
        ("OUTRIDER_ADVERT_INTERVAL", "1", "has no unit; write for example 1s"),
        (
            "OUTRIDER_ADVERT_INTERVAL",
            "5ms",
            "is not from 10ms to 40.95s in steps of 10ms; write for example 200ms",
        ),
        (
            "OUTRIDER_ADVERT_INTERVAL",
            "40.96s",
            "is not from 10ms to 40.95s in steps of 10ms; write for example 200ms",
        ),
        (
            "OUTRIDER_ADVERT_INTERVAL",
            "15ms",
            "is not from 10ms to 40.95s in steps of 10ms; write for example 200ms",
        ),
        (
            "OUTRIDER_CHECKSUM",
            "none",
            "is neither pseudo-header nor message; write for example pseudo-header",
        ),
        ("OUTRIDER_MIN_TTL", "0", "is not a whole number from 1 to 255; write for example 255"),
        ("OUTRIDER_LB", "lb", "does not name a stack and its service; write for example stack/service"),
        ("OUTRIDER_LB", "a/b/c", "does not name a stack and its service; write for example stack/service"),
        ("OUTRIDER_CHECK", "localhost:80", "is not a check; write for example tcp://127.0.0.1:80"),
        ("OUTRIDER_CHECK", "tcp:127.0.0.1:80", "is not a check; write for example tcp://127.0.0.1:80"),
        (
            "OUTRIDER_CHECK",
            "tcp://127.0.0.1",
            "has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
        ),
        ("OUTRIDER_CHECK", "tcp://lb", "has no port from 1 to 65535; write for example tcp://127.0.0.1:80"),
        (
            "OUTRIDER_CHECK",
            "tcp://127.0.0.1:99999",
            "has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
        ),
        (
            "OUTRIDER_CHECK",
            "tcp://127.0.0.1:0",
            "has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
        ),
        (
            "OUTRIDER_CHECK",
            "tcp://10.0.0.300:80",
            "has no host name or address; write for example tcp://127.0.0.1:80",
        ),
        (
            "OUTRIDER_CHECK",
            "http://lb:99999/",
            "is not a URL: invalid port number; write for example tcp://127.0.0.1:80",
        ),
        (
            "OUTRIDER_CHECK",
            "http://lb:0/",
            "has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
        ),
        ("OUTRIDER_CHECK", "exec:", "names no program; write for example exec:/usr/local/bin/check --quick"),
        (
            "OUTRIDER_CHECK",
            "exec:check x",
            "does not name its program by an absolute path; write for example exec:/usr/local/bin/check --quick",
        ),
        (
            "OUTRIDER_CHECK",
            "exec:/bin/check 'x",
            "has a quote that is not closed; close it (a semicolon ends a check within quotes, too)",
        ),
        ("OUTRIDER_CHECK", ";", "has an empty item; write for example tcp://127.0.0.1:80"),
        ("OUTRIDER_CHECK_INTERVAL", "0s", "is not from 10ms to 1h; write for example 1s"),
        ("OUTRIDER_CHECK_TIMEOUT", "1,5s", "is not a duration; write for example 1s"),
        ("OUTRIDER_CHECK_TIMEOUT", "-1s", "is not a duration; write for example 1s"),
        ("OUTRIDER_CHECK_TIMEOUT", ".5s", "is not a duration; write for example 1s"),
        ("OUTRIDER_CHECK_TIMEOUT", "99999999999999999999s", "is not a duration; write for example 1s"),
        ("OUTRIDER_CHECK_RISE", "0", "is not a whole number from 1 to 1000; write for example 2"),
        ("OUTRIDER_CHECK_FALL", "two", "is not a whole number from 1 to 1000; write for example 2"),
        (
            "OUTRIDER_CHECK_STATUS",
            "399-200",
            "is neither a status code nor a range of them; write for example 200-399",
        ),
        (
            "OUTRIDER_CHECK_STATUS",
            "2xx",
            "is neither a status code nor a range of them; write for example 200-399",
        ),
        ("OUTRIDER_CHECK_HOST_HEADER", "a b", "is not a host name; write for example www.example.com"),
        ("OUTRIDER_CHECK_TLS_VERIFY", "0", "is neither true nor false; write for example true"),
        ("OUTRIDER_TRACK_LINK", "no", "is neither true nor false; write for example true"),
        ("OUTRIDER_GUARD", "10.0.0.300", "is not an address; write for example auto, off, or 10.10.10.1"),
        (
            "OUTRIDER_STATUS_LISTEN",
            "9112",
            "is no address with a port; write for example :9112 (the source address), 0.0.0.0:9112 (all IPv4 \
             addresses), or off",
        ),
        (
            "OUTRIDER_STATUS_LISTEN",
            ":0",
            "is no address with a port; write for example :9112 (the source address), 0.0.0.0:9112 (all IPv4 \
             addresses), or off",
        ),
        ("OUTRIDER_SOCKET", "outrider", "is no name for a socket; write for example @outrider/10.10.10.2"),
        ("OUTRIDER_LEASE", "3s", "is neither auto nor forever; write for example auto"),
        ("OUTRIDER_ADOPT", "TRUE", "is neither true nor false; write for example true"),
        ("OUTRIDER_HANDOVER_LIMIT", "5", "has no unit; write for example 5s"),
        ("OUTRIDER_GARP_REPEAT", "0", "is not a whole number from 1 to 100; write for example 5"),
        ("OUTRIDER_GARP_DELAY", "2m", "is not from 0s to 1m; write for example 1s"),
        ("OUTRIDER_GARP_REFRESH", "25h", "is not from 0s to 24h; write for example 60s"),
        ("OUTRIDER_GARP_INTERVAL", "2s", "is not from 0s to 1s; write for example 10ms"),
        ("OUTRIDER_LOG", "inof", "does not name log levels; write for example info,outrider::net=debug"),
        (
            "OUTRIDER_LOG",
            "info,outrider::net",
            "does not name log levels; write for example info,outrider::net=debug",
        ),
        (
            "OUTRIDER_LOG",
            "info,,warn",
            "does not name log levels; write for example info,outrider::net=debug",
        ),
        ("OUTRIDER_LOG_FORMAT", "xml", "is neither text nor json; write for example json"),
        (
            "OUTRIDER_CONFIG",
            "/no/such/file",
            "cannot be read (No such file or directory (os error 2)); name a readable TOML file",
        ),
        ("OUTRIDER_CONFIG", "/", "is not a file; name a readable TOML file"),
    ] {
        let variables = if name == "OUTRIDER_VIP" { vec![(name, value)] } else { vec![VIP, (name, value)] };
        assert_eq!(faults(&variables), [format!("{name}: {value:?} {expected}")]);
    }
}

#[test]
fn messages_about_several_values() {
    for (variables, expected) in [
        (&[][..], "OUTRIDER_VIP is not set; write for example 10.10.10.2"),
        (
            &[("OUTRIDER_VIP", "10.0.0.2,10.0.0.3, 10.0.0.2")],
            "OUTRIDER_VIP: \"10.0.0.2\" is there twice; leave one out",
        ),
        (
            &[("OUTRIDER_VIP", "10.0.0.2,10.0.0.2/24")],
            "OUTRIDER_VIP: \"10.0.0.2\" is there twice, with and without a prefix length; leave one out",
        ),
        (
            &[("OUTRIDER_VIP", "10.10.1.0/16,10.10.2.7")],
            "OUTRIDER_VIP: \"10.10.1.0\" ends in 0, which is no virtual router id; set OUTRIDER_VRID, for example to 10",
        ),
        (
            &[VIP, ("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_ADVERT_INTERVAL", "200ms")],
            "OUTRIDER_ADVERT_INTERVAL: \"200ms\" is not a whole number of seconds from 1s to 255s, as VRRP version 2 \
             needs; write for example 1s",
        ),
        (
            &[VIP, ("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_ADVERT_INTERVAL", "256s")],
            "OUTRIDER_ADVERT_INTERVAL: \"256s\" is not a whole number of seconds from 1s to 255s, as VRRP version 2 \
             needs; write for example 1s",
        ),
        (
            &[VIP, ("OUTRIDER_PEERS", "10.0.0.11,rancher")],
            "OUTRIDER_PEERS: \"rancher\" stands alone or not at all; write for example rancher, or 10.0.0.11,10.0.0.12",
        ),
        (
            &[VIP, ("OUTRIDER_PEERS", "10.0.0.11, 10.0.0.11")],
            "OUTRIDER_PEERS: \"10.0.0.11\" is there twice; leave one out",
        ),
        (
            &[VIP, ("OUTRIDER_HOST_LABEL", "role=a,role=b")],
            "OUTRIDER_HOST_LABEL: \"role\" is wanted with two values, which no host has; leave one out",
        ),
        (
            &[VIP, ("OUTRIDER_CHECK", "none; tcp://a:1")],
            "OUTRIDER_CHECK: \"none\" stands alone or not at all; write for example tcp://127.0.0.1:80",
        ),
        (
            &[VIP, ("OUTRIDER_CHECK", "tcp://a:1"), ("OUTRIDER_LB", "web/lb")],
            "OUTRIDER_LB: \"web/lb\" has no effect beside OUTRIDER_CHECK; set OUTRIDER_CHECK alone",
        ),
        (
            &[VIP, ("OUTRIDER_PEERS", "10.0.0.11"), ("OUTRIDER_LB", "web/lb")],
            "OUTRIDER_LB: \"web/lb\" is looked up in the metadata, which is not asked with a list of peers; \
             set OUTRIDER_CHECK alone",
        ),
        (&[VIP, ("OUTRIDER_VPI", "x")], "OUTRIDER_VPI is not known; did you mean OUTRIDER_VIP?"),
        (&[VIP, ("OUTRIDER_PEER", "x")], "OUTRIDER_PEER is not known; did you mean OUTRIDER_PEERS?"),
        (&[VIP, ("OUTRIDER_VRID_FILE", "x")], "OUTRIDER_VRID_FILE is not known; did you mean OUTRIDER_VRID?"),
        (
            &[VIP, ("OUTRIDER_GUARD", "auto,10.0.0.1")],
            "OUTRIDER_GUARD: \"auto\" stands alone or not at all; write for example auto, off, or 10.10.10.1",
        ),
        (
            &[("OUTRIDER_VIP", "2001:db8::2"), ("OUTRIDER_VRRP_VERSION", "2")],
            "OUTRIDER_VRRP_VERSION: \"2\" has no IPv6; write 3, or add an IPv4 address",
        ),
        (
            &[("OUTRIDER_VIP", "2001:db8::2"), ("OUTRIDER_PEERS", "10.0.0.11")],
            "OUTRIDER_PEERS: \"10.0.0.11\" is IPv4, the virtual router IPv6; write an IPv6 address",
        ),
        (
            &[("OUTRIDER_VIP", "2001:db8::2,2001:db8::3"), ("OUTRIDER_SOURCE", "2001:db8::3")],
            "OUTRIDER_SOURCE: \"2001:db8::3\" is an address of OUTRIDER_VIP, which moves between hosts; \
             write a host's own address, for example 2001:db8::11",
        ),
        (
            &[("OUTRIDER_VIP", "2001:db8::1:0")],
            "OUTRIDER_VIP: \"2001:db8::1:0\" ends in 0, which is no virtual router id; set OUTRIDER_VRID, for example to 10",
        ),
        (
            &[
                VIP,
                ("OUTRIDER_LB", "web/lb"),
                ("OUTRIDER_PEERS", "none"),
                ("OUTRIDER_TRANSPORT", "multicast"),
            ],
            "OUTRIDER_LB: \"web/lb\" is looked up in the metadata, which is not asked without peers; \
             set OUTRIDER_CHECK alone",
        ),
    ] {
        assert_eq!(faults(variables), [expected]);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let told = faults(&[
        ("OUTRIDER_VIP", "10.10.10.300/24,10.10.10.2,10.10.10.2/40"),
        ("OUTRIDER_VPI", "1"),
        ("OUTRIDER_VRID", "0"),
        ("OUTRIDER_CHECK", "tcp://a:0\nhttp://b:0/"),
        ("OUTRIDER_LOG_FORMAT", "xml"),
    ]);
    assert_eq!(
        told,
        [
            "OUTRIDER_VPI is not known; did you mean OUTRIDER_VIP?",
            "OUTRIDER_VIP: \"10.10.10.300/24\" is not an address; write for example 10.10.10.2",
            "OUTRIDER_VIP: \"10.10.10.2/40\" has no prefix length from 1 to 32; write for example 10.10.10.2/24 or \
             10.10.10.2",
            "OUTRIDER_VRID: \"0\" is not a whole number from 1 to 255; write for example 10",
            "OUTRIDER_CHECK: \"tcp://a:0\" has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
            "OUTRIDER_CHECK: \"http://b:0/\" has no port from 1 to 65535; write for example tcp://127.0.0.1:80",
            "OUTRIDER_LOG_FORMAT: \"xml\" is neither text nor json; write for example json",
        ]
    );
}

#[test]
fn faults_of_the_file_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let told = |text: &str| {
        let path = file(folder.path(), "outrider.toml", text);
        let faults = faults_with(&[("OUTRIDER_CONFIG", &path)]);
        faults.iter().map(|fault| fault.replace(&path, "FILE")).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("vrid = 300", "FILE: vrid: \"300\" is not a whole number from 1 to 255; write for example 10"),
        ("vrid = 1.5", "FILE: vrid: \"1.5\" is not a whole number from 1 to 255; write for example 10"),
        ("check_interval = 1", "FILE: check_interval: \"1\" has no unit; write for example 1s"),
        ("lease = ['auto']", "FILE: lease is a list where one value belongs; write for example auto"),
        ("peers = []", "FILE: peers is an empty list; write for example rancher, or 10.0.0.11,10.0.0.12"),
        (
            "peers = ['10.0.0.11', 'x']",
            "FILE: peers: \"x\" is not an address; write for example rancher, or 10.0.0.11,10.0.0.12",
        ),
        (
            "[check]\ninterval = 1",
            "FILE: check is neither a string nor a number nor true or false; write for example tcp://127.0.0.1:80",
        ),
        (
            "lease = 1979-05-27",
            "FILE: lease is neither a string nor a number nor true or false; write for example auto",
        ),
        ("vpi = 1", "FILE: vpi is not known; did you mean vip?"),
        ("VRID = 1", "FILE: VRID is not known; keys are in lower case"),
        ("port = 1", "FILE: port is not known; did you mean peers?"),
        ("config = '/x'", "FILE: config has no place in the file itself"),
        ("vrid = 7\nvrid = 8", "FILE: line 2 is not TOML (duplicate key `vrid` in document root)"),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
    // What the file would have said is not called missing.
    let path = file(folder.path(), "broken.toml", "vip = \"10.10.10.2\"\nlease = [");
    let faults = faults(&[("OUTRIDER_CONFIG", &path)]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with(&format!("{path}: line 2 is not TOML (")), "{faults:?}");
}
