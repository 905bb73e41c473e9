//! Three network namespaces in a line: proxy, router, backend; with rules and routes that fail.
//!
//! Named after this process, and removed with the value, also when the test panics.

use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// What the backend answers, by port.
const BACKEND_RULES: &str = "table inet rules {
    chain input {
        type filter hook input priority 0
        tcp dport 1001 drop
        ip daddr 10.66.1.2 drop
        tcp dport 1002 reject with icmpx port-unreachable
        ip protocol tcp tcp dport 1003 reject with icmp host-unreachable
        tcp dport 1004 reject with icmpx admin-prohibited
        tcp dport 1005 reject with icmpx no-route
        tcp dport 1006 reject with tcp reset
        ip protocol tcp tcp dport 1007 reject with icmp prot-unreachable
        meta nfproto ipv6 tcp dport { 1021, 1022, 1023 } drop
        meta nfproto ipv4 tcp dport 1022 reject with icmp admin-prohibited
    }
}
";

/// What does not leave the proxy's own host, or does not come in.
const PROXY_RULES: &str = "table inet rules {
    chain output {
        type filter hook output priority 0
        tcp dport 1051 drop
    }
    chain input {
        type filter hook input priority 0
        tcp dport 1052 drop
    }
}
";

/// What the router says, by port.
const ROUTER_RULES: &str = "table inet rules {
    chain forward {
        type filter hook forward priority 0
        tcp dport 1011 reject with icmpx admin-prohibited
        tcp dport 1012 reject with icmpx port-unreachable
        ip protocol tcp tcp dport 1013 reject with icmp host-unreachable
    }
}
";

/// Every row must find its answer: the kernel sends few ICMP errors a second otherwise.
const UNLIMITED: &str = "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
    echo 100000 >/proc/sys/net/ipv4/icmp_msgs_per_sec
    echo 100000 >/proc/sys/net/ipv4/icmp_msgs_burst
    echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";

/// As systemd sets it on every host (50-default.conf of sysctl.d): every group may ping.
const MAY_PING: &str = "echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range";

/// The namespaces; gone with this value.
#[derive(Debug)]
pub struct Network {
    names: Vec<String>,
}

impl Network {
    pub fn new() -> Network {
        let mut network = Network { names: Vec::new() };
        for role in ["proxy", "router", "backend"] {
            let name = format!("causeway-{}-{role}", std::process::id());
            let made = Command::new("ip").args(["netns", "add", &name]).output();
            match made {
                Ok(output) if output.status.success() => network.names.push(name),
                other => panic!(
                    "no network namespace can be made; these tests need root (or CAP_SYS_ADMIN and \
                     CAP_NET_ADMIN), iproute2 and nftables: {other:?}"
                ),
            }
        }
        network.wire();
        network
    }

    /// Moves this thread, and those that it starts, to the proxy's namespace.
    pub fn enter(&self) {
        enter(&self.names[0]);
    }

    /// Runs something in the backend's namespace.
    pub fn backend<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.names[2]);
                what()
            });
            inside.join().expect("it does not panic")
        })
    }

    /// Leaves the proxy's namespace these ports for connections that name none (ip(7)).
    pub fn give_ports(&self, ports: RangeInclusive<u16>) {
        let write = "cat >/proc/sys/net/ipv4/ip_local_port_range";
        let range = format!("{} {}\n", ports.start(), ports.end());
        inside(&self.names[0], &["sh", "-ec", write], &range);
    }

    fn wire(&self) {
        let [proxy, router, backend] = &self.names[..] else { unreachable!("three were made") };
        ip(&format!("-n {proxy} link add west type veth peer name west netns {router}"));
        ip(&format!("-n {router} link add east type veth peer name east netns {backend}"));
        // The other end stays down: no carrier.
        ip(&format!("-n {proxy} link add spare type veth peer name loose"));
        for (name, device, four, six) in [
            (proxy, "west", "10.66.0.1/24", "fd66:0::1/64"),
            (router, "west", "10.66.0.254/24", "fd66:0::254/64"),
            (router, "east", "10.66.1.254/24", "fd66:1::254/64"),
            (backend, "east", "10.66.1.1/24", "fd66:1::1/64"),
            (backend, "east", "10.66.1.2/24", "fd66:1::2/64"),
            (proxy, "spare", "10.81.0.1/24", "fd81::1/64"),
        ] {
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} link set {device} up"));
            ip(&format!("-n {name} addr add {four} dev {device}"));
            // Without duplicate address detection, which would take a second.
            ip(&format!("-n {name} addr add {six} dev {device} nodad"));
        }
        for route in [
            "10.66.1.0/24 via 10.66.0.254",
            "fd66:1::/64 via fd66:0::254",
            // The router has no route to the first, and the backend sends the second back.
            "10.79.0.0/24 via 10.66.0.254",
            "10.80.0.0/24 via 10.66.0.254",
            "unreachable 10.77.0.1",
            "prohibit 10.77.0.2",
            "blackhole 10.77.0.3",
        ] {
            ip(&format!("-n {proxy} route add {route}"));
        }
        ip(&format!("-n {router} route add 10.80.0.0/24 via 10.66.1.1"));
        ip(&format!("-n {backend} route add default via 10.66.1.254"));
        ip(&format!("-n {backend} route add default via fd66:1::254"));
        for (name, rules) in [(router, ROUTER_RULES), (backend, BACKEND_RULES)] {
            inside(name, &["sh", "-ec", UNLIMITED], "");
            inside(name, &["nft", "-f", "-"], rules);
        }
        inside(proxy, &["sh", "-ec", MAY_PING], "");
        inside(proxy, &["nft", "-f", "-"], PROXY_RULES);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            // What is left of it shows in `ip netns`; a panic here would hide the first one.
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn enter(name: &str) {
    let path = format!("/run/netns/{name}");
    let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().expect("iproute2");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program in a namespace with this input.
fn inside(name: &str, program: &[&str], input: &str) {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name]).args(program);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("iproute2");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("its status");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
