//! Hosts with a load balancer and an agent each, and what they answer.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use outrider::core::event::State;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use outrider::status::document::{self, Status};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything here takes, on however busy a machine.
pub const SOON: Duration = Duration::from_secs(30);

pub struct Site {
    pub lab: Lab,
    pub agents: Vec<Option<Process>>,
    pub balancers: Vec<Option<Process>>,
}

impl Site {
    /// Everything runs, and the host that holds the address is returned: the first, which starts before the others,
    /// since two that start together may claim together.
    pub async fn running(hosts: usize, variables: &[(&str, &str)]) -> (Site, usize) {
        let lab = Lab::new(hosts, PROGRAM).await.unwrap();
        let vip = VIP.to_string();
        let (mut agents, mut balancers) = (Vec::new(), Vec::new());
        let mut holder = 0;
        for (index, host) in lab.hosts().iter().enumerate() {
            balancers.push(Some(host.start_balancer().await.unwrap()));
            let all = [&[("OUTRIDER_VIP", vip.as_str())], variables].concat();
            agents.push(Some(host.start_agent(&all).await.unwrap()));
            if index == 0 {
                holder = lab.wait_for_holder(SOON).await.unwrap();
            }
        }
        let site = Site { lab, agents, balancers };
        for host in 0..hosts {
            // The second advert: within an interval of its start an agent heeds no priority 0.
            let settled = |router: &document::Router| {
                router.holder.is_some()
                    && (router.state == State::Active || router.counters.adverts_received > 1)
            };
            let knows = |status: &Status| status.ready && status.routers.iter().all(settled);
            site.wait_for(host, "it knows who holds the address", knows).await;
        }
        (site, holder)
    }

    pub fn namespace(&self, host: usize) -> &Namespace {
        self.lab.hosts()[host].namespace()
    }

    pub fn url(&self, host: usize, path: &str) -> String {
        format!("http://{}:9112{path}", self.lab.hosts()[host].address())
    }

    /// Status code and body, as the lab's client is answered.
    pub async fn get(&self, host: usize, path: &str) -> Result<(u16, String)> {
        self.get_with(host, path, None).await
    }

    pub async fn get_with(&self, host: usize, path: &str, token: Option<&str>) -> Result<(u16, String)> {
        let (url, token) = (self.url(host, path), token.map(str::to_owned));
        let client = self.lab.client_namespace();
        client
            .run(async move {
                let mut request = outrider::plain::client()?.timeout(SOON).build()?.get(url);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let answer = request.send().await?;
                Ok((answer.status().as_u16(), answer.text().await?))
            })
            .await?
    }

    /// The document, if this host's agent serves it.
    pub async fn status(&self, host: usize) -> Result<Status> {
        let (code, body) = self.get(host, "/status").await?;
        ensure!(code == 200, "{code}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Waits until a host's status is like that.
    pub async fn wait_for(&self, host: usize, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.status(host).await;
            match status {
                Ok(status) if is(&status) => return status,
                status if begun.elapsed() > SOON => panic!("in vain: {what}: {status:#?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Sends these bytes to the status port and returns everything that comes back until it is closed.
    pub async fn send(&self, host: usize, bytes: Vec<u8>) -> String {
        let address = (self.lab.hosts()[host].address(), 9112);
        let client = self.lab.client_namespace();
        let talk = async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // It may be closed before everything is written.
            let _ = stream.write_all(&bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = client.run(async move { tokio::time::timeout(SOON, talk).await }).await.unwrap();
        answer.expect("the connection is closed in the end")
    }

    /// Runs the program on a host: exit code, what it printed, what it complained of.
    pub async fn command(&self, host: usize, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.args(arguments).env_clear().env("OUTRIDER_VIP", VIP.to_string()).stdin(Stdio::null());
        let output = self.namespace(host).run(async move { command.output().await }).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    pub fn agent(&self, host: usize) -> &Process {
        self.agents[host].as_ref().expect("an agent")
    }

    pub async fn kill_balancer(&mut self, host: usize) {
        let balancer = self.balancers[host].take().expect("a load balancer");
        balancer.kill9().unwrap();
        balancer.wait(SOON).await.unwrap();
    }

    pub async fn stop_agent(&mut self, host: usize) {
        let agent = self.agents[host].take().expect("an agent");
        agent.signal(Signal::SIGTERM).unwrap();
        agent.wait(SOON).await.unwrap();
    }
}
