use super::host::in_namespace;
use outrider::net::lock::Lock;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn one_owner_until_it_is_dropped() {
    in_namespace(|| {
        let lock = Lock::acquire("eth0", "4", 2).unwrap();
        assert!(lock.is_some());
        assert!(Lock::acquire("eth0", "4", 2).unwrap().is_none(), "taken");
        for (interface, family, vrid) in [("eth1", "4", 2), ("eth0", "6", 2), ("eth0", "4", 3)] {
            assert!(Lock::acquire(interface, family, vrid).unwrap().is_some(), "another virtual router");
        }
        drop(lock);
        assert!(Lock::acquire("eth0", "4", 2).unwrap().is_some());
    });
}

#[test]
fn addresses_have_locks_of_their_own() {
    in_namespace(|| {
        let lock = |address: &str, interface| Lock::address(address.parse().unwrap(), interface).unwrap();
        let held = [lock("10.10.10.2", "eth0"), lock("2001:db8::2", "eth0"), lock("fe80::2", "eth0")];
        assert!(held.iter().all(Option::is_some));
        assert!(lock("10.10.10.2", "eth1").is_none(), "whatever the interface");
        assert!(lock("2001:db8::2", "eth1").is_none());
        assert!(lock("10.10.10.3", "eth0").is_some());
        assert!(lock("fe80::2", "eth0").is_none());
        assert!(lock("fe80::2", "eth1").is_some(), "there it is another address");
    });
}

#[test]
fn a_name_that_does_not_fit_is_an_error_not_a_panic() {
    assert!(Lock::acquire(&"x".repeat(200), "4", 1).is_err());
}

#[test]
fn another_network_namespace_is_another_host() {
    in_namespace(|| {
        let _lock = Lock::acquire("eth0", "4", 2).unwrap().unwrap();
        in_namespace(|| assert!(Lock::acquire("eth0", "4", 2).unwrap().is_some()));
    });
}

#[test]
fn a_killed_process_frees_it() {
    in_namespace(|| {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::owner_process", "--nocapture"])
            .env("OUTRIDER_TEST_OWN_A_LOCK", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("lock is owned")));
        assert!(Lock::acquire("eth0", "4", 2).unwrap().is_none());
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert!(Lock::acquire("eth0", "4", 2).unwrap().is_some());
    });
}

/// Not a test by itself: the process that [`a_killed_process_frees_it`] kills.
#[test]
fn owner_process() {
    if std::env::var_os("OUTRIDER_TEST_OWN_A_LOCK").is_some() {
        let _lock = Lock::acquire("eth0", "4", 2).unwrap().unwrap();
        println!("lock is owned");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}
