//! Taking tokens back, and the keys that sign them.

use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Client, ClientError, List, Refusal, understood};
use crate::http;

/// What the API says of a key that is not there.
const NO_TOKEN_KEY: &str = "Could not change the token keys";

/// Which token is meant.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    /// A secret: it goes into the request and nowhere else.
    Itself(&'a str),
    /// Its claim `jti`.
    Id(&'a str),
}

/// A key whose tokens are accepted.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenKey {
    pub(crate) kid: String,
    /// Whether it is the one that new tokens are signed with.
    #[serde(default)]
    pub(crate) signs: bool,
}

impl Client {
    /// Has the control plane refuse a token from now on, and returns its id.
    pub(crate) async fn revoke(&self, token: Token<'_>) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Revoked {
            jti: String,
        }
        let body = match token {
            Token::Itself(token) => json!({"token": token}),
            Token::Id(jti) => json!({"jti": jti}),
        };
        let url = self.url(&["tokens", "revocations"])?;
        let Revoked { jti } = self.answered_of_tokens(Method::POST, url, Some(&body)).await?;
        Ok(jti)
    }

    /// The keys whose tokens are accepted, the oldest first.
    pub(crate) async fn token_keys(&self) -> Result<Vec<TokenKey>, ClientError> {
        let List { items } =
            self.answered_of_tokens(Method::GET, self.url(&["tokens", "keys"])?, None).await?;
        Ok(items.unwrap_or_default())
    }

    /// The kid of a new key, which signs from now on.
    pub(crate) async fn make_token_key(&self) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Made {
            kid: String,
        }
        let url = self.url(&["tokens", "keys"])?;
        let Made { kid } = self.answered_of_tokens(Method::POST, url, None).await?;
        Ok(kid)
    }

    /// Whether there was such a key.
    pub(crate) async fn retire_token_key(&self, kid: &str) -> Result<bool, ClientError> {
        let url = self.url(&["tokens", "keys", kid])?;
        let answer = self.ask(Method::DELETE, url.clone(), None).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => match Refusal::read(&answer) {
                Some(refusal) if refusal.title == NO_TOKEN_KEY => Ok(false),
                _ => Err(ClientError::NoRevocations(http::without_password(&url))),
            },
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    /// As [`Client::answered`], of a path that is there whatever is in the store.
    async fn answered_of_tokens<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        json: Option<&Value>,
    ) -> Result<T, ClientError> {
        let answer = self.ask(method, url.clone(), json).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(ClientError::NoRevocations(http::without_password(&url)));
        }
        understood(&url, &answer)
    }
}
