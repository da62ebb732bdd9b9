//! Machines with a kernel's network of their own, on one switch: what transparent proxying cannot be shown without.
//!
//! Each is a network namespace that ends with its owner. A thread that [enters](Machine::enter) it opens sockets there, and
//! the programs that it starts stay there; sockets may be used from anywhere afterwards. That needs root, or, for everybody
//! else, a user namespace with more than one uid ([`as_root`]): the rules tell a proxy from its workload by the uid.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::AsRawFd as _,
    process::{Command, Output},
    time::Duration,
};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

/// How long a connection or an answer may take, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Tells a test that it is the one that was started again.
const IS_STARTED_AGAIN: &str = "E2E_IN_A_USER_NAMESPACE";

/// Runs a test's body where it may make machines: here, as root. Everybody else's runs in a process that is root of a user
/// namespace. `name` is that of the test, with its modules.
pub(crate) fn as_root(name: &str, body: impl Future<Output = ()>) {
    if !nix::unistd::Uid::effective().is_root() {
        return start_again(name);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(body);
}

fn start_again(name: &str) {
    assert!(std::env::var_os(IS_STARTED_AGAIN).is_none(), "root of the user namespace is root");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--map-auto", "--mount", "--fork", "--kill-child"]);
    command.arg(std::env::current_exe().unwrap()).args([name, "--exact", "--nocapture"]);
    let Output { status, stdout, stderr } = command.env(IS_STARTED_AGAIN, "1").output().unwrap();
    let said = [stdout, stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(
        status.success(),
        "{name} needs root, or a user with subordinate uids (apt-get install uidmap, and a line in /etc/subuid and \
         /etc/subgid):\n{said}"
    );
    assert!(said.contains("1 passed"), "{name} is no test:\n{said}");
}

/// Where all machines are. It has no address.
pub(crate) struct Switch(Machine);

impl Switch {
    pub(crate) fn new() -> Self {
        let machine = Machine::unconnected();
        machine.ip("link add switch type bridge");
        machine.ip("link set switch up");
        Self(machine)
    }

    /// Connects a new machine, which sends everything for elsewhere to `gateway`.
    pub(crate) fn machine(&self, address: Ipv4Addr, gateway: Ipv4Addr) -> Machine {
        let machine = Machine::unconnected();
        let port = format!("port{}", address.octets()[3]);
        let Self(switch) = self;
        let switch_fd = switch.netns.as_raw_fd();
        let pid = std::process::id();
        machine.ip("link set lo up");
        machine.ip(&format!("link add eth0 type veth peer name {port} netns /proc/{pid}/fd/{switch_fd}"));
        switch.ip(&format!("link set {port} master switch up"));
        machine.ip(&format!("address add {address}/24 dev eth0"));
        machine.ip("link set eth0 up");
        if address != gateway {
            machine.ip(&format!("route add default via {gateway}"));
        }
        machine
    }
}

pub(crate) struct Machine {
    /// It lives as long as this is open.
    netns: File,
}

impl Machine {
    fn unconnected() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self { netns: in_a_thread(make) }
    }

    /// Does something in a thread that is on this machine.
    pub(crate) fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        in_a_thread(|| {
            setns(&self.netns, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
    }

    /// Makes and polls a future on this machine. What it spawns is polled elsewhere.
    pub(crate) fn block_on<F: Future<Output: Send>>(&self, make: impl FnOnce() -> F + Send) -> F::Output {
        let runtime = Handle::current();
        self.enter(|| runtime.block_on(make()))
    }

    pub(crate) fn ip(&self, arguments: &str) {
        self.run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }

    /// What a program says on standard output, and on standard error.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let said =
            [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        said
    }

    pub(crate) fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", path);
        self.enter(|| command.output()).unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    pub(crate) fn listen(&self, address: SocketAddrV4) -> TcpListener {
        let listener = self.enter(|| std::net::TcpListener::bind(address)).unwrap();
        listener.set_nonblocking(true).unwrap();
        TcpListener::from_std(listener).unwrap()
    }

    /// As any program does that knows nothing of proxies.
    pub(crate) fn connect(&self, address: SocketAddrV4) -> std::io::Result<TcpStream> {
        let stream = self.enter(|| std::net::TcpStream::connect_timeout(&address.into(), PATIENCE))?;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    /// Lets programs of this machine reach what listens on a loopback address where the test itself runs, at the same
    /// address: as a tunnel would.
    pub(crate) fn tunnel(&self, to: SocketAddr) {
        let SocketAddr::V4(address) = to else { panic!("{to} is IPv4") };
        let listener = self.listen(address);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(address).await {
                        // Either side may leave when it likes.
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                        let _ = to.shutdown().await;
                    }
                });
            }
        });
    }
}

fn in_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
