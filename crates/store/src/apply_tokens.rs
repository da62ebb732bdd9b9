//! What a change of the tokens makes of a state, and the effects that a backend has to keep.

use std::sync::Arc;

use crate::{
    Revision, TokenChange, TokenOutcome, TokensChanged,
    apply::{Effects, State},
    tokens::Tokens,
};

/// See [`crate::Store::change_tokens`].
pub(crate) fn change_tokens(
    state: &mut State,
    effects: &mut Effects,
    change: TokenChange,
    ended_before: u64,
) -> TokensChanged {
    let Revision { epoch, number } = state.present.revision;
    let next = Revision { epoch, number: number + 1 };
    let mut tokens = Tokens::clone(&state.present.tokens);
    // Not with each revocation, for it takes a look at all of them.
    let mut forgotten = if tokens.is_full() { tokens.forget(ended_before) } else { Vec::new() };
    let (kid, jti) = match &change {
        TokenChange::Revoke { jti, .. } => (None, Some(Arc::from(&**jti))),
        TokenChange::PutKey { kid, .. } | TokenChange::RetireKey { kid } => (Some(Arc::from(&**kid)), None),
    };
    let outcome = tokens.change(change, next.number);
    if outcome != TokenOutcome::Changed {
        return TokensChanged { revision: state.present.revision, outcome };
    }
    if kid.is_some() {
        forgotten.extend(tokens.forget(ended_before));
    }
    effects.tokens.kids.extend(kid);
    effects.tokens.jtis.extend(jti.into_iter().chain(forgotten));
    state.present.tokens = Arc::new(tokens);
    state.present.revision = next;
    TokensChanged { revision: next, outcome }
}

/// See [`crate::Store::put_first_token_key`].
pub(crate) fn put_first_token_key(state: &mut State, effects: &mut Effects, kid: String, sealed: Vec<u8>) {
    let mut tokens = Tokens::clone(&state.present.tokens);
    if tokens.keys().is_empty() {
        effects.tokens.kids.insert(Arc::from(&*kid));
        tokens.change(TokenChange::PutKey { kid, sealed }, state.present.revision.number);
        state.present.tokens = Arc::new(tokens);
    }
}
