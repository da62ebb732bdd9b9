//! `kuma-dp version`: which build this is, in the words of Kuma 0.3.0.
//!
//! A release build gives the three variables; a build from a checkout says `unknown`.

use std::io::{self, Write};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version alone, or with what it was built from.
pub(crate) fn print(detailed: bool) -> io::Result<()> {
    let mut out = io::stdout();
    if !detailed {
        return writeln!(out, "{VERSION}");
    }
    writeln!(out, "Version:    {VERSION}")?;
    writeln!(out, "Git Tag:    {}", option_env!("KUMA_BUILD_GIT_TAG").unwrap_or("unknown"))?;
    writeln!(out, "Git Commit: {}", option_env!("KUMA_BUILD_GIT_COMMIT").unwrap_or("unknown"))?;
    writeln!(out, "Build Date: {}", option_env!("KUMA_BUILD_DATE").unwrap_or("unknown"))
}
