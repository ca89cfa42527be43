//! Hosts with a load balancer and an agent each.

use crate::browser::{Browser, SOON};
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};

const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");

pub struct Site {
    pub lab: Lab,
    pub agents: Vec<Process>,
    pub balancers: Vec<Process>,
}

impl Site {
    /// Everything runs, and one host holds the address.
    pub async fn running(hosts: usize, variables: &[(&str, &str)]) -> Site {
        Site::start(Lab::new(hosts, PROGRAM).await.unwrap(), variables).await
    }

    /// The same where hosts have IPv6 addresses besides: `2001:db8::11` and so on.
    pub async fn with_ipv6(hosts: usize, variables: &[(&str, &str)]) -> Site {
        let lab = Lab::new(hosts, PROGRAM).await.unwrap();
        for (host, last) in lab.hosts().iter().zip(11..) {
            let address = format!("2001:db8::{last}/64").parse().unwrap();
            let at_once = || std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0");
            host.namespace().run(async move { at_once() }).await.unwrap().unwrap();
            host.namespace().add_address("eth0", address).await.unwrap();
        }
        Site::start(lab, variables).await
    }

    async fn start(lab: Lab, variables: &[(&str, &str)]) -> Site {
        let mut site = Site { lab, agents: Vec::new(), balancers: Vec::new() };
        for host in 0..site.lab.hosts().len() {
            site.balancers.push(site.lab.hosts()[host].start_balancer().await.unwrap());
            let agent = site.start_agent(host, variables).await;
            site.agents.push(agent);
        }
        if let Err(error) = site.lab.wait_for_holder(SOON).await {
            let said: Vec<String> = site.agents.iter().map(|agent| agent.tail(20)).collect();
            panic!("{error:#}\n{}", said.join("\n"));
        }
        site
    }

    pub async fn start_agent(&self, host: usize, variables: &[(&str, &str)]) -> Process {
        let vip = VIP.to_string();
        let all = [&[("OUTRIDER_VIP", vip.as_str())], variables].concat();
        self.lab.hosts()[host].start_agent(&all).await.unwrap()
    }

    pub async fn kill(process: &Process) {
        process.kill9().unwrap();
        process.wait(SOON).await.unwrap();
    }

    pub fn name(&self, host: usize) -> &str {
        self.lab.hosts()[host].name()
    }

    pub fn url(&self, host: usize) -> String {
        format!("http://{}:9112/", self.lab.hosts()[host].address())
    }

    /// Where the client is.
    pub async fn browser(&self) -> Browser<'_> {
        Browser::start(self.lab.client_namespace()).await
    }
}

/// That a table of members has this host with this role.
pub fn shows(host: &str, role: &str) -> String {
    format!(
        "[...document.querySelectorAll('section.router tbody tr')].some(row => \
         row.querySelector('th a').innerText === '{host}' && row.querySelector('.state').innerText.endsWith('{role}'))"
    )
}
