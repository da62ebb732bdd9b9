//! `kumactl install transparent-proxy`.
//!
//! Speaks to no control plane: it is about the machine on which it runs.

use std::num::NonZeroU16;

use clap::{Args, Subcommand};

use crate::{
    surroundings::Surroundings,
    transparent_proxy::{
        iptables, listeners,
        ports::{Networks, Ports},
        rules::{self, Redirection},
        user,
    },
};

const ROOT: u32 = 0;

/// Prepare a machine for proxies
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum InstallCommand {
    TransparentProxy(TransparentProxyArgs),
}

/// Redirect the TCP connections of this machine to its proxy
///
/// By default prints a script for sh that does it, with a reason for each rule, and changes nothing. It asks no control plane and
/// needs no root.
///
/// Redirected are, over IPv4, the connections that processes of this machine open to other machines, and those that come for an
/// address of this machine. Not redirected are what the user of kuma-dp sends, what stays on this machine, what comes for port 22,
/// and what the options exclude. Connections that are open stay as they are.
///
/// The rules last until the machine starts anew. Start kuma-dp first: while nothing listens on the port, what is redirected to it is
/// refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TransparentProxyArgs {
    /// The user that runs kuma-dp and its Envoy and nothing else, by name or uid: not root, if it can be helped
    #[arg(long, value_name = "USER", required_unless_present = "remove")]
    kuma_dp_user: Option<String>,
    /// Where the proxy listens: networking.transparentProxying.redirectPort of its dataplane
    #[arg(long, value_name = "PORT", default_value = "15001", value_parser = port)]
    redirect_port: NonZeroU16,
    /// Ports of this machine that are reached without the proxy, such as 9100,9256 [22 always is]
    #[arg(long, value_name = "PORTS", default_value = "", hide_default_value = true)]
    exclude_inbound_ports: Ports,
    /// Ports of other machines that are reached without the proxy, such as 5432
    #[arg(long, value_name = "PORTS", default_value = "", hide_default_value = true)]
    exclude_outbound_ports: Ports,
    /// Addresses that are reached without the proxy, such as 169.254.169.254,10.9.0.0/16
    #[arg(long, value_name = "IPS", default_value = "", hide_default_value = true)]
    exclude_outbound_ips: Networks,
    /// Ports of outbounds on 127.0.0.1, and of inbounds that this machine calls itself: redirected although it stays here
    #[arg(long, value_name = "PORTS", default_value = "", hide_default_value = true)]
    include_local_ports: Ports,
    /// Change the rules of this machine, as root, in one transaction; what an earlier run has made is replaced
    #[arg(long, conflicts_with = "remove")]
    apply: bool,
    /// Remove all that --apply or the script has made, as root, and nothing else
    #[arg(long)]
    remove: bool,
}

const EXAMPLES: &str = "\
Examples:
  kumactl install transparent-proxy --kuma-dp-user kuma-dp
  kumactl install transparent-proxy --kuma-dp-user kuma-dp --exclude-inbound-ports 9100 --apply
  kumactl install transparent-proxy --kuma-dp-user 5678 > redirect.sh
  kumactl install transparent-proxy --remove";

/// # Errors
/// A sentence, and then nothing was changed.
pub(super) fn run(command: &InstallCommand, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let InstallCommand::TransparentProxy(args) = command;
    if args.remove {
        return remove(surroundings);
    }
    let redirection = redirection(args)?;
    if args.apply {
        apply(&redirection, surroundings)?;
    } else {
        surroundings.print(&redirection.script())?;
    }
    warn_of(caution(&redirection), surroundings)
}

fn redirection(args: &TransparentProxyArgs) -> anyhow::Result<Redirection> {
    Ok(Redirection {
        proxy_uid: user::uid(args.kuma_dp_user.as_deref().unwrap_or_default())?.as_raw(),
        port: args.redirect_port,
        exclude_inbound_ports: args.exclude_inbound_ports.clone(),
        exclude_outbound_ports: args.exclude_outbound_ports.clone(),
        exclude_outbound_ips: args.exclude_outbound_ips.clone(),
        include_local_ports: args.include_local_ports.clone(),
    })
}

fn apply(redirection: &Redirection, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    iptables::require_root()?;
    iptables::restore(&redirection.applying(&iptables::present()?))?;
    let Redirection { proxy_uid, port, .. } = redirection;
    let done = format!("redirected TCP connections to port {port}, but for those of uid {proxy_uid}");
    surroundings.say(&done)?;
    let doubts = match listeners::uids(*port) {
        Ok(uids) => listeners::doubts(&uids, *port, *proxy_uid),
        Err(error) => vec![format!("whether the proxy listens on port {port} is not known: {error}")],
    };
    warn_of(doubts, surroundings)
}

fn caution(redirection: &Redirection) -> Option<String> {
    let caution =
        "--kuma-dp-user is root: all connections of root's go past the proxy; give kuma-dp a user of its own";
    (redirection.proxy_uid == ROOT).then(|| caution.to_owned())
}

/// Also where no person watches: at the start of a machine nobody does, and the journal keeps it.
fn warn_of(
    doubts: impl IntoIterator<Item = String>,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    for doubt in doubts {
        surroundings.say(&format!("Warning: {doubt}"))?;
    }
    Ok(())
}

fn remove(surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    iptables::require_root()?;
    let Some(transaction) = rules::removing(&iptables::present()?) else {
        return Ok(surroundings.say("no TCP connections were redirected")?);
    };
    iptables::restore(&transaction)?;
    Ok(surroundings.say("removed the redirection of TCP connections")?)
}

fn port(text: &str) -> Result<NonZeroU16, String> {
    text.parse().map_err(|_| "must be a port: 1 to 65535".to_owned())
}
