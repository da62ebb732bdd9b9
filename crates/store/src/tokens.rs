//! Which tokens hold: the keys that sign them, in order of their age, and the tokens that were revoked.
//!
//! Both are part of the present, so that whoever reads it finds keys and revocations of one moment. A change of them takes
//! a revision, by which everybody hears of it; it is no change of a resource, so [`crate::Store::changes`] has no word of it.

use std::{collections::BTreeSet, sync::Arc};

use rpds::RedBlackTreeMapSync;

use crate::{Revision, Sealed};

/// Tokens that may be revoked at a time. When there are as many, or the keys change, those are forgotten that have ended or
/// whose key was retired.
pub const REVOCATIONS_MAX: usize = 10_000;

/// Keys that there may be at a time.
pub const TOKEN_KEYS_MAX: usize = 100;

/// The keys and revocations as of one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// By kid.
    pub(crate) keys: RedBlackTreeMapSync<Arc<str>, TokenKey>,
    /// By jti.
    pub(crate) revocations: RedBlackTreeMapSync<Arc<str>, Revocation>,
}

/// A key that signs tokens, or has signed some that still hold.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenKey {
    /// The revision at which it was put: that of the youngest key is the greatest.
    pub since: u64,
    pub sealed: Sealed,
}

/// A token that no longer holds although it has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The revision at which it was revoked.
    pub revision: u64,
    /// When the token ends by itself, in seconds since 1970, as far as that is known.
    pub exp: Option<u64>,
}

/// What is to become of the tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenChange {
    /// The token of this id is refused from now on.
    Revoke {
        jti: String,
        /// As in [`Revocation::exp`].
        exp: Option<u64>,
    },
    /// This key signs from now on; those before it still verify.
    PutKey { kid: String, sealed: Vec<u8> },
    /// What this key has signed is refused from now on.
    RetireKey { kid: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensChanged {
    /// The revision that this took, or, if it changed nothing, the latest.
    pub revision: Revision,
    pub outcome: TokenOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    Changed,
    /// It was revoked already, or there is a key of that kid.
    Unchanged,
    /// There are [`TOKEN_KEYS_MAX`] already.
    TooManyKeys,
    NoSuchKey,
    /// It is the one that signs, and stays.
    KeySigns,
    /// There are [`REVOCATIONS_MAX`] already.
    TooManyRevoked,
}

impl Tokens {
    /// The keys by kid, the oldest first. The last signs; of two that are of one age, the one whose kid is greater.
    pub fn keys(&self) -> Vec<(&Arc<str>, &TokenKey)> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(kid, key)| (key.since, *kid));
        keys
    }

    /// The revocations by jti, in order.
    pub fn revocations(&self) -> impl Iterator<Item = (&Arc<str>, &Revocation)> {
        self.revocations.iter()
    }

    fn signing_kid(&self) -> Option<&str> {
        self.keys().last().map(|(kid, _)| &***kid)
    }

    pub(crate) fn change(&mut self, change: TokenChange, revision: u64) -> TokenOutcome {
        match change {
            TokenChange::Revoke { jti, .. } if self.revocations.contains_key(&*jti) => {
                TokenOutcome::Unchanged
            }
            TokenChange::Revoke { .. } if self.is_full() => TokenOutcome::TooManyRevoked,
            TokenChange::Revoke { jti, exp } => {
                // What a database cannot write is 292 billion years ahead.
                let exp = exp.filter(|exp| i64::try_from(*exp).is_ok());
                self.revocations.insert_mut(jti.into(), Revocation { revision, exp });
                TokenOutcome::Changed
            }
            TokenChange::PutKey { kid, .. } if self.keys.contains_key(&*kid) => TokenOutcome::Unchanged,
            TokenChange::PutKey { .. } if self.keys.size() >= TOKEN_KEYS_MAX => TokenOutcome::TooManyKeys,
            TokenChange::PutKey { kid, sealed } => {
                self.keys.insert_mut(kid.into(), TokenKey { since: revision, sealed: sealed.into() });
                TokenOutcome::Changed
            }
            TokenChange::RetireKey { kid } if !self.keys.contains_key(&*kid) => TokenOutcome::NoSuchKey,
            TokenChange::RetireKey { kid } if self.signing_kid() == Some(&*kid) => TokenOutcome::KeySigns,
            TokenChange::RetireKey { kid } => {
                self.keys.remove_mut(&*kid);
                TokenOutcome::Changed
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.revocations.size() >= REVOCATIONS_MAX
    }

    /// Forgets the tokens that would be refused anyway: those that have ended, and those that were revoked before the oldest
    /// key was there, for they were signed by one that is not any more.
    pub(crate) fn forget(&mut self, ended_before: u64) -> Vec<Arc<str>> {
        let oldest = self.keys.values().map(|key| key.since).min().unwrap_or(0);
        let is_moot = |it: &Revocation| it.revision < oldest || it.exp.is_some_and(|exp| exp < ended_before);
        let moot: Vec<_> =
            self.revocations.iter().filter(|(_, it)| is_moot(it)).map(|(jti, _)| jti.clone()).collect();
        for jti in &moot {
            self.revocations.remove_mut(jti);
        }
        moot
    }
}

/// What is different in the [`Tokens`] of a state.
#[derive(Debug, Default)]
pub(crate) struct TokenEffects {
    pub(crate) kids: BTreeSet<Arc<str>>,
    pub(crate) jtis: BTreeSet<Arc<str>>,
}

impl TokenEffects {
    pub(crate) fn is_empty(&self) -> bool {
        self.kids.is_empty() && self.jtis.is_empty()
    }
}
