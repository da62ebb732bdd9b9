//! What is redirected, and what is not, in the words of iptables. Without I/O.
//!
//! All of it stands in chains of our own in the table nat, to which PREROUTING and OUTPUT each have one jump. So what is ours
//! can be replaced and removed without a look at anything else, and rules of others keep their order.
//!
//! Three decisions are for safety, and set these rules apart from those of Istio and of later versions of Kuma:
//!
//! * From outside only what is for an address of this machine is redirected. Otherwise every neighbour could use it as a way
//!   into the mesh, under its name, by sending packets for other addresses to it.
//! * Only the first packet of a connection (`--syn`) is. The kernel begins to track connections with the first such rule, and
//!   takes those that are open, such as the ssh session in which the command runs, for new ones.
//! * Port 22 never is, as with the iptables of Kuma 0.3.0 (those of Istio 1.1): whoever repairs the proxy must get in without it.

use std::{fmt::Write as _, num::NonZeroU16};

use super::ports::{Networks, Ports};

const INBOUND: &str = "KUMA_INBOUND";
const OUTBOUND: &str = "KUMA_OUTBOUND";
const REDIRECT: &str = "KUMA_REDIRECT";
const CHAINS: [&str; 3] = [INBOUND, OUTBOUND, REDIRECT];

const SSH: u16 = 22;
const LOOPBACK: &str = "127.0.0.0/8";

/// Into a chain of ours, for every TCP packet that the chain `from` sees.
struct Jump {
    why: &'static str,
    from: &'static str,
    to: &'static str,
}

const JUMPS: [Jump; 2] = [
    Jump { why: "What comes from other machines.", from: "PREROUTING", to: INBOUND },
    Jump { why: "What the processes of this machine send.", from: "OUTPUT", to: OUTBOUND },
];

/// What the user asks for.
#[derive(Clone, Debug)]
pub(crate) struct Redirection {
    /// Of the processes kuma-dp and Envoy.
    pub(crate) proxy_uid: u32,
    /// `networking.transparentProxying.redirectPort` of the Dataplane.
    pub(crate) port: NonZeroU16,
    pub(crate) exclude_inbound_ports: Ports,
    pub(crate) exclude_outbound_ports: Ports,
    pub(crate) exclude_outbound_ips: Networks,
    /// Of inbounds and outbounds, for connections that stay on this machine.
    pub(crate) include_local_ports: Ports,
}

/// A rule of a chain of ours, without the chain's name.
struct Rule {
    why: String,
    rule: String,
}

fn rule(why: impl Into<String>, rule: impl Into<String>) -> Rule {
    Rule { why: why.into(), rule: rule.into() }
}

impl Redirection {
    fn chains(&self) -> [(&'static str, Vec<Rule>); 3] {
        [(INBOUND, self.inbound()), (OUTBOUND, self.outbound()), (REDIRECT, self.redirect())]
    }

    fn inbound(&self) -> Vec<Rule> {
        let foreign = rule(
            "Only what is for an address of this machine: it is nobody's way to other addresses.",
            "-m addrtype ! --dst-type LOCAL -j RETURN",
        );
        let ssh = rule(
            "ssh, so that whoever repairs the proxy gets in without it.",
            format!("-p tcp --dport {SSH} -j RETURN"),
        );
        let excluded = self
            .exclude_inbound_ports
            .iter()
            .filter(|port| port.get() != SSH)
            .map(|port| rule("--exclude-inbound-ports", format!("-p tcp --dport {port} -j RETURN")));
        let rest = rule("All else goes to the proxy.", format!("-j {REDIRECT}"));
        [foreign, ssh].into_iter().chain(excluded).chain([rest]).collect()
    }

    fn outbound(&self) -> Vec<Rule> {
        let proxy = format!("-m owner --uid-owner {}", self.proxy_uid);
        let included: Vec<_> = self.include_local_ports.iter().collect();
        let to_workload = (!included.is_empty()).then(|| {
            rule("What the proxy sends to its workload.", format!("-d {LOOPBACK} {proxy} -j RETURN"))
        });
        let included = included.into_iter().map(|port| {
            rule(
                "--include-local-ports, also for the proxy, which else does not reach inbounds of its own",
                format!("-p tcp -m addrtype --dst-type LOCAL -m tcp --dport {port} -j {REDIRECT}"),
            )
        });
        let proxy = rule(
            "What the proxy itself sends has been through it, and would come back to it forever.",
            format!("{proxy} -j RETURN"),
        );
        let local = rule(
            "What stays on this machine, 127.0.0.0/8 and its own addresses, needs no proxy.",
            "-m addrtype --dst-type LOCAL -j RETURN",
        );
        let ports = self
            .exclude_outbound_ports
            .iter()
            .map(|port| rule("--exclude-outbound-ports", format!("-p tcp --dport {port} -j RETURN")));
        let networks = self
            .exclude_outbound_ips
            .iter()
            .map(|network| rule("--exclude-outbound-ips", format!("-d {network} -j RETURN")));
        let rest = rule("All else goes to the proxy.", format!("-j {REDIRECT}"));
        let for_here = to_workload.into_iter().chain(included).chain([proxy, local]);
        for_here.chain(ports).chain(networks).chain([rest]).collect()
    }

    fn redirect(&self) -> Vec<Rule> {
        let why = "The port of the proxy, networking.transparentProxying.redirectPort of its Dataplane. Only what begins a \
                   connection: one that was open before goes on as it is.";
        vec![rule(why, format!("-p tcp --syn -j REDIRECT --to-ports {}", self.port))]
    }

    /// For sh: it has the effect of [`applying`](Self::applying), however often it is run.
    pub(crate) fn script(&self) -> String {
        let mut script = format!(
            "#!/bin/sh\n\
             # Transparent proxying: the TCP connections of this machine go to its proxy, on port {}.\n\
             # IPv4 only: ip6tables is not touched. Run it as root, as often as you like: it replaces what it has made.\n\
             # kumactl install transparent-proxy --remove takes all of it away.\n\
             set -eu\nPATH=$PATH:/usr/sbin:/sbin\n\n\
             # The chains, in one transaction. Whatever else there is stays.\n\
             iptables-restore --noflush --wait <<'RULES'\n*nat\n",
            self.port
        );
        self.write_chains(&mut script);
        script.push_str("COMMIT\nRULES\n");
        for Jump { why, from, to } in JUMPS {
            let jump = format!("{from} -p tcp -j {to}");
            let _ = write!(
                script,
                "\n# {why}\niptables --wait --table nat --check {jump} 2>/dev/null ||\n  \
                 iptables --wait --table nat --append {jump}\n"
            );
        }
        script
    }

    /// What iptables-restore makes of `present`, the table nat as iptables-save shows it: ours as they should be, each jump
    /// once, and all else as it was. One transaction.
    pub(crate) fn applying(&self, present: &str) -> String {
        let mut transaction = "*nat\n".to_owned();
        self.write_chains(&mut transaction);
        for deletion in deletions_of_jumps(present) {
            let _ = writeln!(transaction, "{deletion}");
        }
        for Jump { from, to, .. } in JUMPS {
            let _ = writeln!(transaction, "-A {from} -p tcp -j {to}");
        }
        transaction + "COMMIT\n"
    }

    /// To declare a chain that is there already empties it (iptables-restore(8), `--noflush`).
    fn write_chains(&self, text: &mut String) {
        let chains = self.chains();
        for (chain, _) in &chains {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for (chain, rules) in &chains {
            for Rule { why, rule } in rules {
                let _ = writeln!(text, "# {why}\n-A {chain} {rule}");
            }
        }
    }
}

/// What iptables-restore makes of `present` to remove all of ours and nothing else. `None` when there is nothing of ours.
pub(crate) fn removing(present: &str) -> Option<String> {
    let there: Vec<_> =
        CHAINS.into_iter().filter(|chain| present.lines().any(|line| declares(line, chain))).collect();
    if there.is_empty() {
        return None; // No jump either: a chain that is jumped to cannot be deleted.
    }
    let deletions = deletions_of_jumps(present);
    // Emptied first, all of them, because they jump to each other.
    let emptied = there.iter().map(|chain| format!("-F {chain}"));
    let deleted = there.iter().map(|chain| format!("-X {chain}"));
    let lines: Vec<_> = deletions.into_iter().chain(emptied).chain(deleted).collect();
    Some(format!("*nat\n{}\nCOMMIT\n", lines.join("\n")))
}

fn declares(line: &str, chain: &str) -> bool {
    line.strip_prefix(':').is_some_and(|rest| rest.split(' ').next() == Some(chain))
}

/// One for each jump from a chain of the kernel's to one of ours, whatever else the rule says: it may be an earlier version's.
/// `iptables-save` writes the target last, and comments, in which others may say anything, before it.
fn deletions_of_jumps(present: &str) -> Vec<String> {
    let is_ours = |line: &&str| {
        JUMPS.iter().any(|Jump { from, to, .. }| {
            line.starts_with(&format!("-A {from} ")) && line.ends_with(&format!(" -j {to}"))
        })
    };
    present.lines().filter(is_ours).map(|line| line.replacen("-A", "-D", 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirection() -> Redirection {
        Redirection {
            proxy_uid: 5678,
            port: 15_001.try_into().unwrap(),
            exclude_inbound_ports: "22,9100".parse().unwrap(),
            exclude_outbound_ports: "5432".parse().unwrap(),
            exclude_outbound_ips: "169.254.169.254,192.168.0.0/16".parse().unwrap(),
            include_local_ports: "10001".parse().unwrap(),
        }
    }

    /// Without the reasons.
    fn rules(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    const OURS: [&str; 16] = [
        ":KUMA_INBOUND - [0:0]",
        ":KUMA_OUTBOUND - [0:0]",
        ":KUMA_REDIRECT - [0:0]",
        "-A KUMA_INBOUND -m addrtype ! --dst-type LOCAL -j RETURN",
        "-A KUMA_INBOUND -p tcp --dport 22 -j RETURN",
        "-A KUMA_INBOUND -p tcp --dport 9100 -j RETURN",
        "-A KUMA_INBOUND -j KUMA_REDIRECT",
        "-A KUMA_OUTBOUND -d 127.0.0.0/8 -m owner --uid-owner 5678 -j RETURN",
        "-A KUMA_OUTBOUND -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 10001 -j KUMA_REDIRECT",
        "-A KUMA_OUTBOUND -m owner --uid-owner 5678 -j RETURN",
        "-A KUMA_OUTBOUND -m addrtype --dst-type LOCAL -j RETURN",
        "-A KUMA_OUTBOUND -p tcp --dport 5432 -j RETURN",
        "-A KUMA_OUTBOUND -d 169.254.169.254/32 -j RETURN",
        "-A KUMA_OUTBOUND -d 192.168.0.0/16 -j RETURN",
        "-A KUMA_OUTBOUND -j KUMA_REDIRECT",
        "-A KUMA_REDIRECT -p tcp --syn -j REDIRECT --to-ports 15001",
    ];
    const JUMPS_OF_OURS: [&str; 2] =
        ["-A PREROUTING -p tcp -j KUMA_INBOUND", "-A OUTPUT -p tcp -j KUMA_OUTBOUND"];

    /// Of others: rules, and names that begin as ours do.
    const OTHERS: &str = "\
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:KUMA_INBOUND_OF_OTHERS - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -p tcp -j KUMA_INBOUND_OF_OTHERS
-A PREROUTING -p tcp -m comment --comment \"see -j KUMA_INBOUND here\" -j DOCKER
-A OUTPUT -p tcp -m comment --comment \"see -j KUMA_OUTBOUND here\" -j RETURN
-A OUTPUT -p tcp -m comment --comment \"see -j KUMA_OUTBOUND\"
-A DOCKER -p tcp -m comment --comment \"-j KUMA_INBOUND\" -j RETURN
-A DOCKER -p tcp -j KUMA_INBOUND
COMMIT
";

    #[test]
    fn a_machine_without_ours_gets_them_and_the_jumps() {
        for present in ["", OTHERS] {
            let expected = [&["*nat"][..], &OURS, &JUMPS_OF_OURS, &["COMMIT"]].concat();
            assert_eq!(rules(&redirection().applying(present)), expected, "{present}");
        }
    }

    #[test]
    fn each_jump_that_is_there_is_replaced_in_the_same_transaction() {
        let present = "\
:KUMA_INBOUND - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -p tcp -j KUMA_INBOUND
-A PREROUTING -p tcp -m comment --comment \"an older one\" -j KUMA_INBOUND
-A OUTPUT -p tcp -j KUMA_OUTBOUND
";
        let deletions = [
            "-D PREROUTING -p tcp -j KUMA_INBOUND",
            "-D PREROUTING -p tcp -m comment --comment \"an older one\" -j KUMA_INBOUND",
            "-D OUTPUT -p tcp -j KUMA_OUTBOUND",
        ];
        let expected = [&["*nat"][..], &OURS, &deletions, &JUMPS_OF_OURS, &["COMMIT"]].concat();
        assert_eq!(rules(&redirection().applying(present)), expected);
    }

    #[test]
    fn what_is_removed_is_what_is_there_of_ours() {
        let all = ":KUMA_REDIRECT - [0:0]\n:KUMA_OUTBOUND - [0:0]\n:KUMA_INBOUND - [3:4]\n\
                   -A OUTPUT -p tcp -j KUMA_OUTBOUND\n-A KUMA_OUTBOUND -j KUMA_REDIRECT\n";
        for (present, expected) in [
            ("", None),
            (OTHERS, None),
            (
                ":KUMA_REDIRECT - [0:0]\n",
                Some(vec!["*nat", "-F KUMA_REDIRECT", "-X KUMA_REDIRECT", "COMMIT"]),
            ),
            (
                all,
                Some(vec![
                    "*nat",
                    "-D OUTPUT -p tcp -j KUMA_OUTBOUND",
                    "-F KUMA_INBOUND",
                    "-F KUMA_OUTBOUND",
                    "-F KUMA_REDIRECT",
                    "-X KUMA_INBOUND",
                    "-X KUMA_OUTBOUND",
                    "-X KUMA_REDIRECT",
                    "COMMIT",
                ]),
            ),
        ] {
            assert_eq!(removing(present).as_deref().map(rules), expected, "{present}");
        }
    }

    #[test]
    fn every_rule_says_why() {
        let script = redirection().script();
        let lines: Vec<_> = script.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[1].starts_with("-A ")) {
            assert!(pair[0].starts_with("# "), "{pair:?}");
        }
        assert!(OURS.iter().all(|rule| lines.contains(rule)), "{script}");
    }
}
