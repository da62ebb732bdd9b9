//! `kumactl config`: the list of control planes, and which one commands speak to.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::{ArgAction, Args, Subcommand};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::UsageError;
use crate::{
    config_file::ConfigFile,
    configuration::{self, Configuration, TokenApiCredentials},
    http::{Answer, Http, NoAnswer, Redirects, Request},
    surroundings::Surroundings,
    table,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// By which a control plane is recognised.
const TAGLINE: &str = "Kuma";

/// Manage the configuration of kumactl
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum ConfigCommand {
    #[command(subcommand)]
    ControlPlanes(ControlPlanesCommand),
    /// Show the configuration
    #[command(after_help = "Examples:\n  kumactl config view")]
    View,
}

/// Manage the control planes that kumactl knows
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum ControlPlanesCommand {
    Add(AddArgs),
    /// List the control planes
    #[command(after_help = "Examples:\n  kumactl config control-planes list")]
    List,
    /// Make another control plane the active one
    #[command(after_help = "Examples:\n  kumactl config control-planes switch --name east")]
    Switch(NameArgs),
    /// Remove a control plane
    #[command(after_help = "Examples:\n  kumactl config control-planes remove --name east")]
    Remove(NameArgs),
}

/// Add a control plane and make it the active one
///
/// The control plane has to answer at its address; nothing is changed when it does not.
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddArgs {
    /// A name for the control plane
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The URL of its HTTP API
    #[arg(long, value_name = "URL")]
    address: String,
    /// Replace a control plane of the same name
    #[arg(
        long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "true|false",
        default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true
    )]
    overwrite: bool,
    /// A file with the certificate to show to the token server of the control plane, PEM
    #[arg(long, value_name = "FILE", requires = "dataplane_token_client_key")]
    dataplane_token_client_cert: Option<PathBuf>,
    /// A file with the key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "dataplane_token_client_cert")]
    dataplane_token_client_key: Option<PathBuf>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  kumactl config control-planes add --name east --address http://localhost:5681
  kumactl config control-planes add --name east --address http://localhost:15681 --overwrite";

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The name of the control plane
    #[arg(long, value_name = "NAME")]
    name: String,
}

pub(super) async fn run(
    command: &ConfigCommand,
    file: &mut ConfigFile,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    match command {
        ConfigCommand::View => view(&file.configuration, surroundings),
        ConfigCommand::ControlPlanes(ControlPlanesCommand::Add(args)) => add(args, file, surroundings).await,
        ConfigCommand::ControlPlanes(ControlPlanesCommand::List) => list(&file.configuration, surroundings),
        ConfigCommand::ControlPlanes(ControlPlanesCommand::Switch(args)) => {
            switch(&args.name, file, surroundings)
        }
        ConfigCommand::ControlPlanes(ControlPlanesCommand::Remove(args)) => {
            remove(&args.name, file, surroundings)
        }
    }
}

fn view(configuration: &Configuration, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let text = configuration.print().map_err(anyhow::Error::msg)?;
    Ok(surroundings.print(&format!("{text}\n"))?)
}

fn list(configuration: &Configuration, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let active = configuration.active_name();
    let rows = configuration.control_planes().iter().map(|control_plane| {
        let mark = if Some(control_plane.name()) == active { "*" } else { "" };
        vec![mark.to_owned(), control_plane.name().to_owned(), control_plane.address().to_owned()]
    });
    Ok(surroundings.print(&table::print(&["ACTIVE", "NAME", "ADDRESS"], &rows.collect::<Vec<_>>()))?)
}

async fn add(
    args: &AddArgs,
    file: &mut ConfigFile,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let name = &args.name;
    let address = checked_address(args)
        .map_err(|reason| UsageError(format!("Control Plane configuration is not valid: {reason}")))?;
    recognise(address).await?;
    if file.configuration.control_plane(name).is_some() && !args.overwrite {
        bail!("Control Plane with name \"{name}\" already exists");
    }
    let credentials = TokenApiCredentials {
        client_cert: args.dataplane_token_client_cert.clone(),
        client_key: args.dataplane_token_client_key.clone(),
    };
    file.configuration.add(name, &args.address, Some(credentials));
    file.save()?;
    surroundings.say(&format!("added Control Plane \"{name}\""))?;
    Ok(surroundings.say(&switched(name))?)
}

fn switch(name: &str, file: &mut ConfigFile, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    if !file.configuration.switch(name) {
        bail!("there is no Control Plane with name \"{name}\"");
    }
    file.save()?;
    Ok(surroundings.say(&switched(name))?)
}

fn remove(name: &str, file: &mut ConfigFile, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    if !file.configuration.remove(name) {
        bail!("there is no Control Plane with name \"{name}\"");
    }
    file.save()?;
    surroundings.say(&format!("removed Control Plane \"{name}\""))?;
    let now = match file.configuration.active_name() {
        Some(active) => switched(active),
        None => {
            "there is no active Control Plane left. Use `kumactl config control-planes add` to add a Control \
                 Plane and make it active"
                .to_owned()
        }
    };
    Ok(surroundings.say(&now)?)
}

fn switched(name: &str) -> String {
    format!("switched active Control Plane to \"{name}\"")
}

fn checked_address(args: &AddArgs) -> Result<Url, String> {
    if args.name.is_empty() {
        return Err("its name cannot be empty".to_owned());
    }
    configuration::parse_address(&args.address)
}

/// Asks whether a control plane answers there.
async fn recognise(address: Url) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        tagline: String,
    }
    let answer = index(address).await.context("could not connect to the Control Plane API Server")?;
    if answer.status != StatusCode::OK {
        bail!("Control Plane API Server is not responding");
    }
    let index: Index = serde_json::from_slice(&answer.body).context(
        "could not unmarshal body from the Control Plane API Server. Provided address is not valid Kuma Control Plane \
         API Server",
    )?;
    if index.tagline != TAGLINE {
        bail!("provided address is not valid Kuma Control Plane API Server");
    }
    Ok(())
}

async fn index(address: Url) -> Result<Answer, NoAnswer> {
    Http::to(&address, Redirects::Shown, None)?.send(Request::get(address, TIMEOUT)).await
}
