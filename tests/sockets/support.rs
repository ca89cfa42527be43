//! Two hosts and what they send each other.

use nix::sched::{CloneFlags, setns, unshare};
use outrider::net::Family;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

pub const LEFT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub const RIGHT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
pub const LEFT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
pub const RIGHT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
pub const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
pub const LEFT_LINK: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
pub const RIGHT_LINK: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
pub const LEFT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const RIGHT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Far more than anything here takes.
pub const LONG: Duration = Duration::from_secs(10);

/// A network namespace; sockets stay in the one they were opened in.
pub struct Host(File);

impl Host {
    fn new() -> Host {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run as root, or under `unshare -Urn`");
        ip("link set lo up");
        Host(File::open("/proc/thread-self/ns/net").unwrap())
    }

    pub fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip, of iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `test` on a thread of its own with two hosts: `left0` (10.0.0.1, 2001:db8::1, fe80::1) and `right0` (the
/// same with 2). The thread starts on the left one.
pub fn with_hosts<F: Future<Output = ()>>(test: impl FnOnce(Host, Host) -> F + Send + 'static) {
    let run = || {
        let (right, left) = (Host::new(), Host::new());
        ip("link add left0 address 02:00:00:00:00:01 type veth peer name right0 address 02:00:00:00:00:02");
        ip(&format!("link set right0 netns /proc/{}/fd/{}", std::process::id(), right.0.as_raw_fd()));
        set_up("left0", 1);
        right.enter();
        set_up("right0", 2);
        left.enter();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(left, right));
    };
    std::thread::spawn(run).join().unwrap();
}

fn set_up(interface: &str, number: u8) {
    // The kernel would take a second for a link-local address of its own.
    ip(&format!("link set {interface} addrgenmode none"));
    ip(&format!("address add 10.0.0.{number}/24 dev {interface}"));
    ip(&format!("address add 2001:db8::{number}/64 dev {interface} nodad"));
    ip(&format!("address add fe80::{number}/64 dev {interface} nodad"));
    ip(&format!("link set {interface} up"));
}

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("it never came")
}

pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A raw socket of a protocol.
pub fn raw(family: Family, protocol: i32) -> Socket {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

/// A packet socket that sees every IPv6 packet of this host with its header, sent or received.
pub fn wiretap() -> Socket {
    let protocol = i32::from((nix::libc::ETH_P_ALL as u16).to_be());
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(protocol))).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

pub fn read(socket: &mut Socket) -> Vec<u8> {
    let mut packet = [0; 8192];
    loop {
        match socket.read(&mut packet) {
            Ok(length) => return packet[..length].to_vec(),
            // With a time limit the kernel does not restart what it interrupted.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("it never came: {error}"),
        }
    }
}

pub fn address(address: IpAddr) -> socket2::SockAddr {
    SocketAddr::from((address, 9)).into()
}
