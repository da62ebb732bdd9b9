//! `kumactl rotate mesh-ca`: a new CA for a mesh, while every connection between its proxies goes on.
//!
//! What is to be done next follows from the CAs that the mesh has ([`next`]), and from nothing that is remembered here. So
//! whoever was interrupted runs the command again, on any machine.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::{
    Target,
    inspect_mesh_cas::{listed, read, table},
};
use crate::{
    client::{Guard, MeshCa, MeshCaProxies, Refusal, Stepped},
    duration,
    surroundings::Surroundings,
};

/// Replace the certificate authority of a mesh
///
/// Makes a new one, waits until every connected proxy trusts it, has it sign, waits until no proxy uses a certificate of the old
/// one, and retires that. No connection is refused meanwhile. A rotation that was begun and not ended goes on: interrupt it
/// whenever you like, and run it again.
///
/// A proxy that is not connected is not waited for, and a warning says how many are not. It gets what is new when it comes back;
/// until then the others refuse it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MeshCaArgs {
    /// The longest wait for the proxies, in all
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    timeout: Duration,
    /// Wait for no proxy: those that are behind refuse the others, and are refused, until they are not
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  kumactl rotate mesh-ca --mesh demo
  kumactl rotate mesh-ca --mesh demo --timeout 30m";

/// Between two looks at what the proxies have.
const PAUSE: Duration = Duration::from_millis(500);

/// What brings the mesh nearer to one CA, a new one.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    SignWith(&'a MeshCa),
    Retire(&'a MeshCa),
}

/// `None` when there is one CA alone, which signs. The youngest is to sign; then the others are to go.
fn next(cas: &[MeshCa]) -> Option<Step<'_>> {
    let youngest = cas.last().filter(|ca| !ca.signs).map(Step::SignWith);
    youngest.or_else(|| cas.iter().find(|ca| !ca.signs).map(Step::Retire))
}

impl Step<'_> {
    /// Whether no proxy that is connected stands in its way.
    fn is_ready(&self) -> bool {
        match self {
            Self::SignWith(MeshCa { proxies, .. }) => proxies.trusting >= proxies.connected,
            Self::Retire(MeshCa { proxies, .. }) => proxies.using == 0,
        }
    }

    /// How far the proxies are.
    fn progress(&self) -> String {
        match self {
            Self::SignWith(MeshCa { id, proxies: MeshCaProxies { connected, trusting, .. }, .. }) => {
                format!("{trusting} of {connected} connected proxies trust certificate authority \"{id}\"")
            }
            Self::Retire(MeshCa { id, proxies: MeshCaProxies { connected, using, .. }, .. }) => {
                format!("{using} of {connected} connected proxies use a certificate of \"{id}\"")
            }
        }
    }

    /// What may go wrong for proxies of which nothing can be known.
    fn warning(&self) -> Option<String> {
        let MeshCaProxies { dataplanes, connected, .. } = self.ca().proxies;
        let away = dataplanes.checked_sub(connected).filter(|away| *away > 0)?;
        Some(format!(
            "warning: {away} of {dataplanes} Dataplanes are not connected, and nobody waits for them: until they are, they refuse the \
             others and are refused"
        ))
    }

    fn ca(&self) -> &MeshCa {
        match self {
            Self::SignWith(ca) | Self::Retire(ca) => ca,
        }
    }

    fn done(&self) -> String {
        match self {
            Self::SignWith(ca) => format!("certificate authority \"{}\" signs from now on", ca.id),
            Self::Retire(ca) => format!("retired certificate authority \"{}\"", ca.id),
        }
    }

    async fn take(&self, target: &Target, guard: Guard) -> anyhow::Result<Stepped> {
        let (client, mesh) = (&target.client, &target.mesh);
        let (stepped, what, id) = match self {
            Self::SignWith(ca) => (client.sign_with_mesh_ca(mesh, &ca.id, guard).await, "sign with", &ca.id),
            Self::Retire(ca) => (client.retire_mesh_ca(mesh, &ca.id, guard).await, "retire", &ca.id),
        };
        let what = format!("failed to {what} certificate authority \"{id}\"");
        stepped.map_err(|error| error.while_trying(what))
    }
}

pub(super) async fn run(
    args: &MeshCaArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let guard = if args.force { Guard::Off } else { Guard::On };
    begin(target, surroundings).await?;
    let give_up = Instant::now() + args.timeout;
    let mut said = String::new();
    let mut begins = true;
    loop {
        let cas = read(&listed(target).await?)?;
        let Some(step) = next(&cas) else {
            return Ok(surroundings.print(&table(&cas))?);
        };
        if std::mem::take(&mut begins)
            && let Some(warning) = step.warning()
        {
            surroundings.say(&warning)?;
        }
        let progress = step.progress();
        if progress != said {
            surroundings.say(&progress)?;
            said.clone_from(&progress);
        }
        let mut why = None;
        if step.is_ready() || guard == Guard::Off {
            match step.take(target, guard).await? {
                Stepped::Done => {
                    surroundings.say(&step.done())?;
                    begins = true;
                    continue;
                }
                // A proxy has come meanwhile, or the control plane knows better.
                Stepped::NotYet(refusal) => why = Some(refusal),
            }
        }
        if Instant::now() >= give_up {
            bail!(out_of_patience(args.timeout, &progress, why.as_ref(), &target.mesh));
        }
        sleep(PAUSE).await;
    }
}

/// Makes a new CA, unless one is there that was left behind by a rotation.
async fn begin(target: &Target, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let cas = read(&listed(target).await?)?;
    if next(&cas).is_some() {
        return Ok(surroundings.say("going on with the rotation that was begun before")?);
    }
    let made = target.client.make_mesh_ca(&target.mesh).await;
    let made = made.map_err(|error| error.while_trying("failed to make a certificate authority"))?;
    Ok(surroundings.say(&format!("made certificate authority \"{}\", which does not sign yet", made.id))?)
}

fn out_of_patience(timeout: Duration, progress: &str, why: Option<&Refusal>, mesh: &str) -> String {
    let timeout = duration::print(timeout);
    let why = why.map(|refusal| format!(": {refusal}")).unwrap_or_default();
    format!(
        "after {timeout} {progress}{why}. `kumactl inspect dataplanes --mesh {mesh}` shows who is connected and has errors; run \
         the same command again to go on, or with --force to wait for no proxy"
    )
}
