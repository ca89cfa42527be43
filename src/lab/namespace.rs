//! A network namespace: a thread that lives in it, and a switch that connects several.

use anyhow::{Context, Result, anyhow};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use netlink_packet_route::route::RouteScope;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::thread::JoinHandle;
use tokio::process::Command;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// A network namespace with a host name of its own.
///
/// It is a thread with a tokio runtime: the namespace belongs to the thread, so what runs on that runtime, and
/// every process started from it, is inside. It ends when this is dropped, and its processes with it.
pub struct Namespace {
    name: String,
    runtime: Handle,
    netlink: rtnetlink::Handle,
    file: File,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// A new namespace with nothing in it but `lo`, up.
    ///
    /// # Errors
    /// Without the right to make one (CAP_SYS_ADMIN).
    pub async fn new(name: &str) -> Result<Self> {
        let (ready, made) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let host_name = name.to_string();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || match enter(&host_name) {
                Err(error) => drop(ready.send(Err(error))),
                Ok((runtime, netlink, file)) => {
                    if ready.send(Ok((runtime.handle().clone(), netlink, file))).is_ok() {
                        let _ = runtime.block_on(ended);
                    }
                    runtime.shutdown_background();
                }
            })
            .context("start a thread")?;
        let (runtime, netlink, file) = made.await.context("the namespace's thread ended")??;
        let namespace =
            Self { name: name.into(), runtime, netlink, file, end: Some(end), thread: Some(thread) };
        namespace.change(LinkUnspec::new_with_name("lo").up()).await?;
        Ok(namespace)
    }

    /// Host name inside.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a future on the namespace's thread; sockets it makes belong to the namespace.
    ///
    /// # Errors
    /// When it panics, or the namespace ends first.
    pub async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        self.runtime.spawn(future).await.with_context(|| format!("in namespace {}", self.name))
    }

    /// Leaves a future running there until it ends or is aborted.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        self.runtime.spawn(future).abort_handle()
    }

    /// Runs a command inside to its end and returns what it printed on standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the message carries what it said on standard error.
    pub async fn run_command(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output =
            self.run(async move { command.output().await }).await?.with_context(|| program.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(anyhow!("{program} {}: {}: {}", arguments.join(" "), output.status, said.trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Adds an address to an interface.
    ///
    /// # Errors
    /// When the interface is not there, or the address is.
    pub async fn add_address(&self, interface: &str, address: IpNet) -> Result<()> {
        let index = self.index(interface).await?;
        let request = self.netlink.address().add(index, address.addr(), address.prefix_len());
        request.execute().await.with_context(|| format!("{}: add {address} to {interface}", self.name))
    }

    /// Removes an address from whichever interface has it.
    ///
    /// # Errors
    /// When no interface has it.
    pub async fn remove_address(&self, address: IpAddr) -> Result<()> {
        let mut found = self.netlink.address().get().set_address_filter(address).execute();
        let message = found.try_next().await?.with_context(|| format!("{}: no {address} here", self.name))?;
        self.netlink.address().del(message).execute().await.with_context(|| format!("remove {address}"))
    }

    /// Whether an interface here has the address right now, asked of the kernel.
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn has_address(&self, address: IpAddr) -> Result<bool> {
        let mut found = self.netlink.address().get().set_address_filter(address).execute();
        Ok(found.try_next().await.with_context(|| format!("{}: list addresses", self.name))?.is_some())
    }

    /// A cable from here to another namespace: a network card at each end.
    ///
    /// # Errors
    /// When one of the cards is there already.
    pub async fn connect(&self, card: &str, other: &Namespace, other_card: &str) -> Result<()> {
        self.cable(card, other, other_card, None).await?;
        self.change(LinkUnspec::new_with_name(card).up()).await
    }

    /// The far end is up, the near end not yet.
    async fn cable(
        &self,
        card: &str,
        other: &Namespace,
        other_card: &str,
        bridge: Option<u32>,
    ) -> Result<()> {
        let far_end = LinkUnspec::new_with_name(other_card).setns_by_fd(other.file.as_raw_fd()).build();
        let mut cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(card)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)));
        if let Some(bridge) = bridge {
            cable = cable.controller(bridge);
        }
        let request = self.netlink.link().add(cable.build());
        request.execute().await.with_context(|| format!("connect {card} of {}", self.name))?;
        other.change(LinkUnspec::new_with_name(other_card).up()).await
    }

    /// Sends packets for an address out of a card, to whoever answers there.
    ///
    /// # Errors
    /// When the card is not there.
    pub async fn add_route(&self, address: Ipv4Addr, card: &str) -> Result<()> {
        let index = self.index(card).await?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(index)
            .scope(RouteScope::Link)
            .build();
        let request = self.netlink.route().add(route);
        request.execute().await.with_context(|| format!("{}: route {address} to {card}", self.name))
    }

    async fn index(&self, interface: &str) -> Result<u32> {
        let mut links = self.netlink.link().get().match_name(interface).execute();
        let link = links.try_next().await.with_context(|| format!("{}: find {interface}", self.name))?;
        Ok(link.with_context(|| format!("{}: no interface {interface}", self.name))?.header.index)
    }

    async fn change(&self, link: LinkMessageBuilder<LinkUnspec>) -> Result<()> {
        let request = self.netlink.link().change(link.build());
        request.execute().await.with_context(|| format!("{}: change a link", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end.take();
        // Joined, so that its processes are dead when this returns.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Puts the calling thread into a namespace of its own.
fn enter(name: &str) -> Result<(Runtime, rtnetlink::Handle, File)> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS).context(
        "making a network namespace needs root; run this with tests/run, or under: \
         unshare --user --map-root-user --net",
    )?;
    nix::unistd::sethostname(name).context("set the host name")?;
    let file = File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net")?;
    let runtime = Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let inside = runtime.enter();
    let (connection, netlink, _) = rtnetlink::new_connection().context("open netlink")?;
    runtime.spawn(connection);
    drop(inside);
    Ok((runtime, netlink, file))
}

/// A namespace with a bridge. Every other namespace's network card is the far end of a cable from it.
pub struct Switch {
    namespace: Namespace,
    bridge: u32,
}

impl Switch {
    /// A switch with no cable in it.
    ///
    /// # Errors
    /// Without the right to make a namespace or a bridge.
    pub async fn new() -> Result<Self> {
        let namespace = Namespace::new("switch").await?;
        // No spanning tree: a port forwards as soon as its cable is in.
        let bridge = LinkBridge::new("bridge").forward_delay(0).build();
        namespace.netlink.link().add(bridge).execute().await.context("make a bridge")?;
        let bridge = namespace.index("bridge").await?;
        Ok(Self { namespace, bridge })
    }

    /// The namespace it lives in: sees every frame, has no address.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Gives a namespace a network card with an address, and connects it. The port is called `port`.
    ///
    /// # Errors
    /// When the port or the card is there already.
    pub async fn plug(&self, port: &str, namespace: &Namespace, card: &str, address: IpNet) -> Result<()> {
        self.namespace.cable(port, namespace, card, Some(self.bridge)).await?;
        namespace.add_address(card, address).await?;
        self.restore(port).await
    }

    /// Pulls the cable: both ends lose their carrier.
    ///
    /// # Errors
    /// When there is no such port.
    pub async fn cut(&self, port: &str) -> Result<()> {
        self.namespace.change(LinkUnspec::new_with_name(port).down()).await
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// When there is no such port.
    pub async fn restore(&self, port: &str) -> Result<()> {
        self.namespace.change(LinkUnspec::new_with_name(port).up()).await
    }

    /// Isolates the port: the carrier stays, every frame is lost.
    ///
    /// # Errors
    /// When there is no such port.
    pub async fn isolate(&self, port: &str) -> Result<()> {
        self.namespace.change(LinkUnspec::new_with_name(port).nocontroller()).await
    }

    /// Ends [`Switch::isolate`].
    ///
    /// # Errors
    /// When there is no such port.
    pub async fn rejoin(&self, port: &str) -> Result<()> {
        self.namespace.change(LinkUnspec::new_with_name(port).controller(self.bridge)).await
    }
}
