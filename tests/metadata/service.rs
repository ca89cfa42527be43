//! The stand-in service's wire contract, byte by byte where bytes matter.

use super::{NODE1, NODE2, answer};
use outrider::lab::metadata::{Fault, Host, Server, Service, World, serve};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn start(world: &World) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, world.clone(), NODE1).unwrap()
}

/// The whole answer, head and body as they come.
async fn raw(server: &Server, method: &str, target: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: rancher-metadata\r\n{accept}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(server: &Server, path: &str) -> String {
    raw(server, "GET", &format!("/2016-07-29{path}"), "application/json").await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn head(answer: &str) -> String {
    answer.split_once("\r\n\r\n").unwrap().0.to_lowercase()
}

fn parsed(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test]
async fn json_is_sent_as_plain_text_and_only_if_asked_for_alone() {
    let server = start(&World::from_answer(answer(1))).await;
    let answer = get(&server, "/self/host").await;
    assert!(head(&answer).contains("content-type: text/plain; charset=utf-8"), "{answer}");
    assert_eq!(parsed(&answer)["agent_ip"], "10.0.0.11");
    for accept in ["", "*/*", "application/json, */*", "text/plain, application/json"] {
        let answer = raw(&server, "GET", "/2016-07-29/self/host", accept).await;
        assert!(body(&answer).starts_with("agent_ip\nagent_state\n"), "{accept}: {answer}");
        assert!(body(&answer).contains("\nlabels/\n"), "{answer}");
    }
    let answer = raw(&server, "GET", "/2016-07-29/hosts", "").await;
    let mut names: Vec<&str> = body(&answer).lines().map(|line| line.split_once('=').unwrap().1).collect();
    names.sort_unstable();
    assert_eq!(names, ["node1", "node2", "node3"]);
}

#[tokio::test]
async fn versions_paths_and_slashes() {
    let server = start(&World::from_answer(answer(1))).await;
    for version in ["2015-07-25", "2015-12-19", "2016-07-29", "latest"] {
        let answer = raw(&server, "GET", &format!("/{version}/self/host/uuid/"), "application/json").await;
        assert_eq!(parsed(&answer), NODE1);
    }
    let moved = get(&server, "//hosts").await;
    assert!(
        moved.starts_with("HTTP/1.1 301 ") && head(&moved).contains("location: /2016-07-29/hosts"),
        "{moved}"
    );
    for path in ["/nothing", "/self/container", "/self/service", "/self/stack", "/hosts/99"] {
        let answer = get(&server, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(body(&answer).trim_end(), r#"{"code":404,"message":"Not found","type":"error"}"#);
        assert!(head(&answer).contains("content-type: text/plain"), "{answer}");
    }
    assert!(
        raw(&server, "GET", "/2014-01-01/version", "application/json").await.starts_with("HTTP/1.1 404 ")
    );
    assert!(raw(&server, "POST", "/2016-07-29/version", "").await.starts_with("HTTP/1.1 405 "));
    let head_only = raw(&server, "HEAD", "/2016-07-29/version", "").await;
    assert!(head_only.starts_with("HTTP/1.1 200 ") && body(&head_only).is_empty(), "{head_only}");
    assert_eq!(parsed(&get(&server, "/hosts/node2/uuid").await), NODE2);
    assert_eq!(parsed(&get(&server, &format!("/hosts/{NODE2}/labels/role")).await), "load-balancer");
    let root = raw(&server, "GET", "/", "").await;
    assert_eq!(body(&root), "2015-07-25\n2015-12-19\n2016-07-29\nlatest\n");
}

#[tokio::test]
async fn long_bodies_are_chunked() {
    let server = start(&World::from_answer(answer(1))).await;
    assert!(head(&get(&server, "/services").await).contains("transfer-encoding: chunked"));
    assert!(head(&get(&server, "/self/host").await).contains("content-length: "));
}

#[tokio::test]
async fn lists_are_shuffled_at_each_reload_and_null_when_empty() {
    let world = World::from_answer(answer(1));
    let server = start(&world).await;
    let mut orders = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let hosts = parsed(&get(&server, "/hosts").await);
        assert_eq!(hosts, parsed(&get(&server, "/hosts").await), "the order changed without a reload");
        let order: Vec<String> =
            hosts.as_array().unwrap().iter().map(|host| host["uuid"].to_string()).collect();
        orders.insert(order);
        world.update(|_| {});
    }
    assert_eq!(orders.len(), 6);
    world.update(|document| document["hosts"] = json!([]));
    assert_eq!(parsed(&get(&server, "/hosts").await), Value::Null);
    assert!(get(&server, "/self/host").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn long_polls() {
    let world = World::from_answer(answer(1));
    let server = start(&world).await;
    server.set_slack(Duration::ZERO);
    let version = parsed(&get(&server, "/version").await).as_str().unwrap().to_owned();
    assert_eq!(body(&raw(&server, "GET", "/2016-07-29/version", "").await), version);

    // Without a value, or with another one, there is nothing to wait for.
    let asked = Instant::now();
    assert_eq!(parsed(&get(&server, "/version?wait=true&maxWait=60").await), version.as_str());
    assert_eq!(parsed(&get(&server, "/version?wait=true&value=older&maxWait=60").await), version.as_str());
    assert!(asked.elapsed() < Duration::from_secs(5));

    let asked = Instant::now();
    let unchanged = get(&server, &format!("/version?wait=true&value={version}&maxWait=1")).await;
    assert_eq!(parsed(&unchanged), version.as_str());
    assert!(asked.elapsed() >= Duration::from_secs(1));

    let path = format!("/version?wait=true&value={version}&maxWait=60");
    let change = async {
        while server.requests().get("/2016-07-29/version") < Some(&6) {
            tokio::task::yield_now().await;
        }
        world.update(|_| {});
        Instant::now()
    };
    let (changed, at) = tokio::join!(get(&server, &path), change);
    assert_ne!(parsed(&changed), version.as_str());
    assert!(at.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn faults() {
    let world = World::from_answer(answer(1));
    let server = start(&world).await;
    server.set_fault(Fault::NotLoaded);
    assert!(get(&server, "/version").await.starts_with("HTTP/1.1 404 "));
    assert!(raw(&server, "GET", "/", "").await.starts_with("HTTP/1.1 404 "));

    server.set_fault(Fault::Garbage);
    assert!(serde_json::from_str::<Value>(body(&get(&server, "/hosts").await)).is_err());

    server.set_fault(Fault::HalfBody);
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(no_tls()).build().unwrap();
    for path in ["/version", "/services"] {
        let answer =
            client.get(format!("{}{path}", server.url())).header("Accept", "application/json").send().await;
        assert!(answer.unwrap().bytes().await.is_err(), "{path} came whole");
    }

    server.set_fault(Fault::OtherHost(NODE2.into()));
    assert_eq!(parsed(&get(&server, "/self/host/uuid").await), NODE2);
    server.set_fault(Fault::Empty);
    assert_eq!(parsed(&get(&server, "/hosts").await), Value::Null);

    server.set_fault(Fault::Frozen);
    let version = get(&server, "/version").await;
    world.remove_host(NODE2);
    assert_eq!(body(&get(&server, "/version").await), body(&version));
    assert_eq!(parsed(&get(&server, "/hosts").await).as_array().unwrap().len(), 3);
    server.set_fault(Fault::None);
    assert_eq!(parsed(&get(&server, "/hosts").await).as_array().unwrap().len(), 2);

    server.set_fault(Fault::Refuse);
    while TcpStream::connect(server.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.set_fault(Fault::None);
    while TcpStream::connect(server.address()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(parsed(&get(&server, "/self/host/uuid").await), NODE1);

    server.set_fault(Fault::Hang);
    let (late, ()) = tokio::join!(get(&server, "/self/host/uuid"), async {
        while server.requests().get("/2016-07-29/self/host/uuid") < Some(&3) {
            tokio::task::yield_now().await;
        }
        server.set_fault(Fault::None);
    });
    assert_eq!(parsed(&late), NODE1);

    let address = server.address();
    drop(server);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// reqwest asks for a provider even where no TLS is spoken.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[tokio::test]
async fn a_world_of_one_s_own() {
    let world = World::new();
    let server = start(&world).await;
    assert_eq!(parsed(&get(&server, "/hosts").await), Value::Null);
    world.put_host(&Host::new(NODE1, "lb1", "10.0.0.1").label("zone", "a"));
    world.put_host(&Host::new(NODE2, "lb2", "10.0.0.2"));
    world.put_host(&Host::new(NODE2, "lb2", "10.0.0.3"));
    world.put_service(&Service::load_balancer(&[NODE1]));
    world.change_host(NODE1, |host| host["state"] = "inactive".into());
    assert_eq!(parsed(&get(&server, "/hosts/lb2/agent_ip").await), "10.0.0.3");
    assert_eq!(parsed(&get(&server, "/self/host/state").await), "inactive");
    assert_eq!(parsed(&get(&server, "/self/host/labels/zone").await), "a");
    assert_eq!(parsed(&get(&server, "/services/lb/containers/0/host_uuid").await), NODE1);
}
