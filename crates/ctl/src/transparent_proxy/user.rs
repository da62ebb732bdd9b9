//! The user whose connections are never redirected, because they are the proxy's own.

use anyhow::{anyhow, bail};
use nix::unistd::{Uid, User};

/// What people give: a name that this machine knows, or a uid, which need not be anybody's yet.
///
/// # Errors
/// A sentence for whoever gave it.
pub(crate) fn uid(user: &str) -> anyhow::Result<Uid> {
    if let Ok(uid) = user.parse() {
        return Ok(Uid::from_raw(uid));
    }
    match User::from_name(user) {
        Ok(Some(known)) => Ok(known.uid),
        Ok(None) => bail!(
            "--kuma-dp-user: this machine has no user {user:?}; create it (useradd --system {user}), or give the uid"
        ),
        Err(error) => Err(anyhow!("--kuma-dp-user: {user:?} cannot be looked up: {}", error.desc())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_uid_or_a_name_that_the_machine_knows() {
        assert_eq!(uid("5678").unwrap(), Uid::from_raw(5678));
        assert_eq!(uid("root").unwrap(), Uid::from_raw(0));
        let unknown = uid("nobody-has-this-name").unwrap_err().to_string();
        assert!(unknown.contains("no user \"nobody-has-this-name\"; create it"), "{unknown}");
    }
}
