//! What the embedded store promises of its file.

mod damage;
mod disk_full;
mod kill;
mod migration;
mod reopen;
