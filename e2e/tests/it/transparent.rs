//! Transparent proxying with a real kernel's redirection and real Envoys: programs that know nothing of the mesh are in it.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde_json::json;
use testbed::Programs;

use crate::{
    secured::permission,
    transparent_lab::{
        BACKEND, BY_PROXY_USER, Conversation, ELSEWHERE, EXPORTER, INBOUND, LOCAL, Lab, REDIRECT_PORT,
        VIRTUAL, WEB, WORKLOAD, ask, serve,
    },
    transparent_machines::as_root,
};

/// What the workload of `backend` says to its proxy: it is reached in no other way.
const BY_THE_MESH: &str = "backend at 127.0.0.1:8080 from 127.0.0.1";

#[test]
fn programs_that_know_nothing_of_the_mesh_are_in_it() {
    as_root("transparent::programs_that_know_nothing_of_the_mesh_are_in_it", async {
        plain_and_with_mtls(Programs::find().unwrap()).await;
    });
}

#[test]
fn they_are_with_the_oldest_envoy() {
    as_root("transparent::they_are_with_the_oldest_envoy", async {
        plain_and_with_mtls(Programs::with_oldest_envoy().unwrap()).await;
    });
}

async fn plain_and_with_mtls(programs: Programs) {
    let lab = Lab::open(programs).await;
    let passed_through = async || lab.web_proxy.stat("cluster.pass_through.upstream_cx_total").await.unwrap();
    lab.redirect();

    // For a service: over the mesh, at an address that no machine has.
    assert_eq!(ask(&lab.web, VIRTUAL).await.unwrap(), BY_THE_MESH);
    assert_eq!(passed_through().await, 0);
    // For anything else: to where it was meant, through the proxy.
    assert_eq!(ask(&lab.web, ELSEWHERE).await.unwrap(), format!("elsewhere at {ELSEWHERE} from {WEB}"));
    assert_eq!(passed_through().await, 1);
    // From a machine outside of the mesh: to the inbound, or to where it was meant.
    assert_eq!(ask(&lab.outside, INBOUND).await.unwrap(), BY_THE_MESH);
    assert_eq!(ask(&lab.outside, EXPORTER).await.unwrap(), format!("exporter at {EXPORTER} from {BACKEND}"));

    let mesh = json!({"type": "Mesh", "name": "default", "mtls": {"enabled": true}});
    lab.control_plane.apply(&mesh).await.unwrap();
    lab.until_synced().await;
    assert!(ask(&lab.web, VIRTUAL).await.is_err(), "nobody is permitted");
    lab.control_plane.apply(&permission("web", &["web"], &["backend"])).await.unwrap();
    lab.until_synced().await;
    assert_eq!(ask(&lab.web, VIRTUAL).await.unwrap(), BY_THE_MESH);
    assert!(ask(&lab.outside, INBOUND).await.is_err(), "who shows no certificate is refused");
    // The mesh has no say in what is not its own.
    assert_eq!(ask(&lab.web, ELSEWHERE).await.unwrap(), format!("elsewhere at {ELSEWHERE} from {WEB}"));
    assert_eq!(ask(&lab.outside, EXPORTER).await.unwrap(), format!("exporter at {EXPORTER} from {BACKEND}"));
}

#[test]
fn what_stays_on_a_machine_is_redirected_where_that_is_asked_for() {
    as_root("transparent::what_stays_on_a_machine_is_redirected_where_that_is_asked_for", async {
        let lab = Lab::open(Programs::find().unwrap()).await;
        lab.redirect();
        // Nothing listens there, and nothing is redirected.
        assert!(ask(&lab.web, LOCAL).await.is_err());
        assert!(ask(&lab.backend, VIRTUAL).await.is_err(), "the proxy does not reach its own inbound");

        let including = |ports| [&BY_PROXY_USER[..], &["--include-local-ports", ports, "--apply"]].concat();
        lab.kumactl(&lab.web, &including("10001"));
        assert_eq!(ask(&lab.web, LOCAL).await.unwrap(), BY_THE_MESH);
        lab.kumactl(&lab.backend, &including("8080"));
        assert_eq!(ask(&lab.backend, VIRTUAL).await.unwrap(), BY_THE_MESH);
        assert_eq!(ask(&lab.backend, WORKLOAD).await.unwrap(), BY_THE_MESH);
        assert_eq!(ask(&lab.web, VIRTUAL).await.unwrap(), BY_THE_MESH);
    });
}

#[test]
fn what_is_excluded_needs_no_proxy() {
    as_root("transparent::what_is_excluded_needs_no_proxy", async {
        let mut lab = Lab::open(Programs::find().unwrap()).await;
        let ssh = SocketAddrV4::new(BACKEND, 22);
        serve(&lab.backend, "sshd", ssh);
        lab.redirect();
        lab.web_proxy.kill_9().await.unwrap();
        lab.backend_proxy.kill_9().await.unwrap();

        for (from, to) in [(&lab.web, ELSEWHERE), (&lab.outside, EXPORTER)] {
            let error = ask(from, to).await.unwrap_err();
            assert!(
                error.to_string().contains("refused"),
                "a proxy that is gone lets nothing pass: {error:#}"
            );
        }
        assert!(ask(&lab.outside, ssh).await.is_ok(), "who repairs the proxy gets in");

        for option in [["--exclude-outbound-ports", "7000"], ["--exclude-outbound-ips", "10.99.0.0/16"]] {
            lab.kumactl(&lab.web, &[&BY_PROXY_USER[..], &option, &["--apply"]].concat());
            assert!(ask(&lab.web, ELSEWHERE).await.is_ok(), "{option:?}");
            lab.kumactl(&lab.web, &[&BY_PROXY_USER[..], &["--apply"]].concat());
            assert!(ask(&lab.web, ELSEWHERE).await.is_err(), "{option:?} is of an earlier run");
        }
        lab.kumactl(
            &lab.backend,
            &[&BY_PROXY_USER[..], &["--exclude-inbound-ports", "9100", "--apply"]].concat(),
        );
        assert!(ask(&lab.outside, EXPORTER).await.is_ok());
        assert!(ask(&lab.outside, ssh).await.is_ok(), "other ports are excluded beside it");
    });
}

#[test]
fn open_connections_stay_whatever_is_applied_and_removed() {
    as_root("transparent::open_connections_stay_whatever_is_applied_and_removed", async {
        let mut lab = Lab::open(Programs::find().unwrap()).await;
        let mut direct = Conversation::open(&lab.web, ELSEWHERE).await.unwrap();
        let mut direct_in = Conversation::open(&lab.outside, EXPORTER).await.unwrap();
        assert_eq!(direct_in.greeting, "exporter at 10.77.0.3:9100 from 10.77.0.9");
        lab.redirect();
        direct.goes_on().await;
        direct_in.goes_on().await;

        let mut redirected = Conversation::open(&lab.web, VIRTUAL).await.unwrap();
        lab.redirect();
        redirected.goes_on().await;
        // As on any machine with a firewall that lets in what belongs to a connection: without a rule that asks for them the
        // kernel would forget which connections there are.
        lab.web.run("iptables", &words("-A FORWARD -m conntrack --ctstate INVALID -j DROP"));
        lab.kumactl(&lab.web, &["--remove"]);
        redirected.goes_on().await;
        direct.goes_on().await;

        // New ones are as they were before there was a proxy.
        lab.web_proxy.kill_9().await.unwrap();
        assert!(ask(&lab.web, ELSEWHERE).await.is_ok());
        direct.goes_on().await;
    });
}

#[test]
fn applying_twice_is_applying_once_and_rules_of_others_stay() {
    as_root("transparent::applying_twice_is_applying_once_and_rules_of_others_stay", async {
        let lab = Lab::open(Programs::find().unwrap()).await;
        let of_others = ["PREROUTING -p tcp --dport 1 -j RETURN", "OUTPUT -d 192.0.2.1 -j RETURN"];
        for rule in of_others {
            lab.web.run("iptables", &words(&format!("-t nat -A {rule}")));
        }
        let rules = || lab.web.run("iptables", &words("-t nat -S"));
        let before = rules();
        let apply = [&BY_PROXY_USER[..], &["--apply"]].concat();

        lab.kumactl(&lab.web, &apply);
        let once = rules();
        assert_ne!(once, before);
        lab.kumactl(&lab.web, &apply);
        assert_eq!(rules(), once);
        // With other options, and back.
        lab.kumactl(&lab.web, &["--kuma-dp-user", "1", "--redirect-port", "15006", "--apply"]);
        let others = rules();
        assert!(others.contains("--to-ports 15006") && !others.contains("--to-ports 15001"), "{others}");
        lab.kumactl(&lab.web, &apply);
        assert_eq!(rules(), once);
        // What is printed does the same.
        let script = lab.kumactl(&lab.web, &BY_PROXY_USER);
        lab.web.run("sh", &["-c", &script]);
        assert_eq!(rules(), once);
        for _ in 0..2 {
            lab.kumactl(&lab.web, &["--remove"]);
            assert_eq!(rules(), before);
        }
        for _ in 0..2 {
            lab.web.run("sh", &["-c", &script]);
            assert_eq!(rules(), once);
        }
    });
}

#[test]
fn what_the_kernel_does_not_take_changes_nothing_and_is_said() {
    as_root("transparent::what_the_kernel_does_not_take_changes_nothing_and_is_said", async {
        let lab = Lab::open(Programs::find().unwrap()).await;
        lab.redirect();
        // So that a chain of ours cannot be removed.
        lab.web.run("iptables", &words("-t nat -N OF_OTHERS"));
        lab.web.run("iptables", &words("-t nat -A OF_OTHERS -p tcp -j KUMA_REDIRECT"));
        let rules = || lab.web.run("iptables", &words("-t nat -S"));
        let before = rules();
        let error = lab.refused_kumactl(&lab.web, &["--remove"]);
        assert!(
            error.starts_with("Error: the kernel does not take the rules, and nothing was changed: "),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(rules(), before);
    });
}

#[test]
fn a_proxy_is_nobody_s_way_to_other_addresses() {
    as_root("transparent::a_proxy_is_nobody_s_way_to_other_addresses", async {
        let lab = Lab::open(Programs::find().unwrap()).await;
        lab.redirect();
        // The machine of web forwards packets; who opens a connection through it is known to the server as who he is.
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 50, 0, 1), 80);
        lab.backend.ip("address add 10.50.0.1/32 dev lo");
        serve(&lab.backend, "server", server);
        lab.web.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
        lab.web.ip(&format!("route add 10.50.0.1 via {BACKEND}"));
        lab.outside.ip(&format!("route add 10.50.0.1 via {WEB}"));
        // By the machine of backend it is for an address of its own: that one's proxy passes it through.
        lab.kumactl(&lab.backend, &["--remove"]);
        assert_eq!(ask(&lab.outside, server).await.unwrap(), "server at 10.50.0.1:80 from 10.77.0.9");
    });
}

#[test]
fn what_comes_for_the_port_of_the_proxy_itself_does_not_go_around() {
    as_root("transparent::what_comes_for_the_port_of_the_proxy_itself_does_not_go_around", async {
        let lab = Lab::open(Programs::find().unwrap()).await;
        lab.redirect();
        for (from, address) in [(&lab.outside, WEB), (&lab.web, WEB), (&lab.web, Ipv4Addr::LOCALHOST)] {
            assert!(ask(from, SocketAddrV4::new(address, REDIRECT_PORT)).await.is_err());
        }
        let passed_through = lab.web_proxy.stat("cluster.pass_through.upstream_cx_total").await.unwrap();
        assert!(passed_through <= 1, "{passed_through} connections");
        // The port is that of others, too.
        let theirs = SocketAddrV4::new(*ELSEWHERE.ip(), REDIRECT_PORT);
        serve(&lab.outside, "theirs", theirs);
        assert_eq!(ask(&lab.web, theirs).await.unwrap(), format!("theirs at {theirs} from {WEB}"));
    });
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
