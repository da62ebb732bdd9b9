//! `make demo`: a small shop on a real mesh, told step by step.
//!
//! A real kuma-cp on its embedded store, five real Envoys under kuma-dp, and the services behind them: `web` calls `backend` (v1
//! and v2) and `redis`. It splits traffic, moves it, kills the control plane in the middle of it, turns mTLS on, takes a
//! permission away and gives it back, logs connections, adds a listener in Envoy's own words, and prints what happened. With
//! `--check` every claim is asserted and it ends by itself.
#![expect(clippy::print_stdout, reason = "the story is told on stdout")]

mod claims;
mod logs;
mod mtls;
mod shop;
mod story;
mod times;
mod traffic;

use std::process::ExitCode;

use clap::Parser;

use crate::{claims::Claims, shop::Shop};

/// A small shop on a real mesh.
#[derive(Parser)]
struct Cli {
    /// Assert every claim and exit, instead of staying until Ctrl-C
    #[arg(long)]
    check: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match tell(cli.check).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(check: bool) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("kuma-demo-").tempdir()?;
    let mut claims = Claims::default();
    let mut shop = tokio::select! {
        opened = Shop::open(folder.path()) => opened?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    tokio::select! {
        told = story::tell(&mut shop, &mut claims) => told?,
        _ = tokio::signal::ctrl_c() => return shop.close().await,
    }
    if check {
        shop.close().await?;
        return claims.verdict();
    }
    shop.print_addresses();
    tokio::signal::ctrl_c().await?;
    println!("\nending everything that was started");
    shop.close().await
}
