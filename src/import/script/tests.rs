use super::*;

fn target(script: &str) -> String {
    check(script).targets.join("; ")
}

fn told(script: &str, words: &str) -> bool {
    check(script).notes.iter().any(|note| note.contains(words))
}

#[test]
fn what_asks_a_port_is_asked_there() {
    for script in [
        "ss -ltn | grep 80",
        "ss -ltn|grep -q ':80 '",
        "/bin/sh -c 'ss -ltn | grep :80'",
        "netstat -ntlp | grep 0.0.0.0:80",
        "ss -ltn sport = :80",
        "lsof -i :80",
        "fuser 80/tcp",
        "nc -z localhost 80",
        "/usr/bin/nc -zv -w 3 127.0.0.1 80",
        "timeout 2 nc -z 127.0.0.1 80",
        "</dev/tcp/127.0.0.1/80",
        "bash -c '</dev/tcp/localhost/80'",
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/80'",
        "killall -0 haproxy",
        "/usr/bin/killall -0 haproxy 2>/dev/null",
        "pidof haproxy",
        "pgrep -x nginx",
        "pgrep '^nginx$'",
        "systemctl is-active --quiet haproxy.service",
        "service nginx status",
        "/etc/init.d/haproxy status",
        "ps aux | grep [h]aproxy",
        "killall -0 haproxy || exit 1",
        "sudo killall -0 haproxy",
    ] {
        assert_eq!(target(script), "tcp://127.0.0.1:80", "{script}");
    }
    assert_eq!(target("nc -z 2001:db8::1 443"), "tcp://[2001:db8::1]:443");
    assert_eq!(target("pidof haproxy && pidof sshd"), "tcp://127.0.0.1:80; tcp://127.0.0.1:22");
}

#[test]
fn urls_are_asked_natively() {
    for (script, expected, settings) in [
        (
            "curl -f http://127.0.0.1/health",
            "http://127.0.0.1/health",
            &[("OUTRIDER_CHECK_STATUS", "200-399")][..],
        ),
        (
            "curl -sSfo /dev/null -m 2 localhost:8080",
            "http://127.0.0.1:8080/",
            &[("OUTRIDER_CHECK_STATUS", "200-399")],
        ),
        ("curl -s http://10.0.0.1/?a=1&b=2", "http://10.0.0.1/?a=1&b=2", &[]),
        (
            "curl --fail --insecure --max-time 3 https://localhost:6443/healthz",
            "https://127.0.0.1:6443/healthz",
            &[("OUTRIDER_CHECK_STATUS", "200-399"), ("OUTRIDER_CHECK_TLS_VERIFY", "false")],
        ),
        (
            "curl -fH 'Host: www.example.com' http://127.0.0.1/",
            "http://127.0.0.1/",
            &[("OUTRIDER_CHECK_STATUS", "200-399"), ("OUTRIDER_CHECK_HOST_HEADER", "www.example.com")],
        ),
        (
            "wget -q -T 2 -O /dev/null http://127.0.0.1:80/",
            "http://127.0.0.1:80/",
            &[("OUTRIDER_CHECK_STATUS", "200-399")],
        ),
        ("curl -f http://127.0.0.1/ | grep ok", "http://127.0.0.1/", &[("OUTRIDER_CHECK_STATUS", "200-399")]),
    ] {
        let check = check(script);
        assert_eq!(check.targets, [expected], "{script}");
        let found: Vec<_> = check.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, settings, "{script}");
    }
    assert_eq!(target("curl -X POST http://h/"), "exec:/usr/bin/curl -X POST http://h/");
}

#[test]
fn other_programs_stay_programs() {
    for (script, expected) in [
        ("/usr/bin/test -f /run/ok", "exec:/usr/bin/test -f /run/ok"),
        ("[ -f /run/ok ]", "exec:/usr/bin/test -f /run/ok"),
        ("! test -f /run/maintenance", "exec:/usr/bin/test ! -f /run/maintenance"),
        ("/etc/keepalived/check.sh 'a b' c", "exec:/etc/keepalived/check.sh \"a b\" c"),
        ("pidof myapp", "exec:/usr/bin/pgrep -x myapp"),
        ("check.sh", "exec:/usr/bin/check.sh"),
        ("a | b", "exec:/bin/sh -c \"a | b\""),
    ] {
        assert_eq!(target(script), expected, "{script}");
    }
    assert_eq!(target("a; b"), "", "a semicolon ends a check");
    assert!(told("a; b", "semicolon"));
    assert_eq!(target(""), "");
    assert!(check("ping -c 1 10.0.0.1").elsewhere && told("ping -c 1 10.0.0.1", "OUTRIDER_GUARD=10.0.0.1"));
}

#[test]
fn traps_are_told() {
    assert!(told("ss -ltn | grep 80", "without a shell: ss gets \"|\""));
    assert!(told("ss -ltn | grep 80", "\"grep 80\" also matches port 8080"));
    assert!(told("ss -ltn | grep :443", "port 4430"));
    assert!(!told("ss -ltn | grep ':80 '", "also matches"));
    assert!(!told("sh -c 'ss -ltn | grep 80'", "without a shell"));
    assert!(told("sh -c 'ss -ltn | grep 80'", "also matches port 8080"));
    assert!(told("killall -0 haproxy >/dev/null 2>&1", "killall gets \">/dev/null\", \"2>&1\""));
    assert!(told("</dev/tcp/127.0.0.1/80", "bash"));
    assert!(told("ss -ltn sport = :80", "never fails"));
    assert!(told("pidof haproxy", "Port 80 is a guess"));
}
