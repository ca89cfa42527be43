use super::*;

#[test]
fn distances() {
    for (from, to, expected) in [
        ("", "", 0),
        ("", "VIP", 3),
        ("VIP", "VIP", 0),
        ("VPI", "VIP", 1),
        ("VRD", "VRID", 1),
        ("ab", "cd", 2),
    ] {
        assert_eq!(distance(from, to), expected, "{from} {to}");
        assert_eq!(distance(to, from), expected, "{to} {from}");
    }
}

#[test]
fn names_are_told_apart() {
    for (name, expected) in [
        ("OUTRIDER_VIP", Known::Yes),
        ("OUTRIDER_METADATA_URL_FILE", Known::Yes),
        ("OUTRIDER_VIP_FILE", Known::No),
        ("OUTRIDER_SMTP_SERVER", Known::Yes),
        ("OUTRIDER_AUTH_KEYS_FILE", Known::Yes),
        ("OUTRIDER_AUTH_MODE_FILE", Known::No),
        ("OUTRIDER_PORT", Known::Injected),
        ("OUTRIDER_PORT_9112_TCP_ADDR", Known::Injected),
        ("OUTRIDER_SERVICE_HOST", Known::Injected),
        ("OUTRIDER_SERVICE_PORT_HTTP", Known::Injected),
        ("OUTRIDER_ENV_PATH", Known::Injected),
        ("OUTRIDER_NAME", Known::Injected),
        ("OUTRIDER_PORT_X_TCP", Known::No),
        ("OUTRIDER_", Known::No),
    ] {
        assert_eq!(known(name), expected, "{name}");
    }
}

#[test]
fn the_nearest_name_is_found() {
    for (name, expected) in [
        ("OUTRIDER_VPI", "OUTRIDER_VIP"),
        ("OUTRIDER_VIPS", "OUTRIDER_VIP"),
        ("OUTRIDER_VRID_FILE", "OUTRIDER_VRID"),
        ("OUTRIDER_PEER", "OUTRIDER_PEERS"),
        ("OUTRIDER_ADVERTISEMENT_INTERVAL", "OUTRIDER_ADVERT_INTERVAL"),
        ("OUTRIDER_GAURD", "OUTRIDER_GUARD"),
    ] {
        assert_eq!(nearest(name), expected, "{name}");
    }
}
