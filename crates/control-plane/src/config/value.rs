//! How a setting's value is read, from YAML and from a variable, and how it is shown.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde_json::Value;

/// A value before it has a type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Yaml(&'a Value),
    /// From the environment.
    Text(&'a str),
}

/// What a setting can be. An error says what was expected, to follow "cannot be used: ".
pub(super) trait Setting: Sized {
    fn read(raw: Raw<'_>) -> Result<Self, String>;
    fn show(&self) -> Value;
}

impl Setting for String {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => Ok(text.to_owned()),
            Raw::Yaml(Value::String(text)) => Ok(text.clone()),
            Raw::Yaml(_) => Err("a string is expected; put it in quotes".to_owned()),
        }
    }

    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Setting for PathBuf {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        String::read(raw).map(Self::from)
    }

    fn show(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

impl Setting for bool {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        match raw {
            Raw::Yaml(Value::Bool(value)) => Ok(*value),
            Raw::Text("true" | "1") => Ok(true),
            Raw::Text("false" | "0") => Ok(false),
            _ => Err("true or false is expected".to_owned()),
        }
    }

    fn show(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Setting for IpAddr {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let address = String::read(raw).ok().and_then(|text| text.parse().ok());
        address.ok_or_else(|| "an IP address is expected".to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// A port.
impl Setting for u16 {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let number = match raw {
            Raw::Yaml(value) => value.as_u64(),
            Raw::Text(text) => text.parse().ok(),
        };
        let port = number.and_then(|number| Self::try_from(number).ok());
        port.ok_or_else(|| "a port number between 0 and 65535 is expected".to_owned())
    }

    fn show(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for Vec<String> {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect())
            }
            Raw::Yaml(Value::Array(items)) => {
                items.iter().map(|item| String::read(Raw::Yaml(item))).collect()
            }
            Raw::Yaml(_) => Err("a list of strings is expected".to_owned()),
        }
    }

    fn show(&self) -> Value {
        Value::from(self.clone())
    }
}

/// Regular expressions for whole origins.
impl Setting for api::CorsPolicy {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        Self::new(&Vec::read(raw)?).map_err(|error| error.to_string())
    }

    fn show(&self) -> Value {
        Value::from(self.patterns().to_vec())
    }
}

/// As Go writes one: `1s`, `250ms`, `1h30m`.
impl Setting for Duration {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let text = String::read(raw).ok();
        let duration = text.as_deref().and_then(parse_duration).filter(|it| !it.is_zero() && *it <= LONGEST);
        duration.ok_or_else(|| {
            "a duration between 1ms and 24h is expected, such as 1s, 250ms or 1h30m".to_owned()
        })
    }

    fn show(&self) -> Value {
        Value::String(print_duration(*self))
    }
}

const LONGEST: Duration = Duration::from_hours(24);

/// How long the certificates of proxies live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateValidity(Duration);

impl CertificateValidity {
    /// Below it the last third of a life, in which a proxy can do without kuma-cp, is a matter of minutes.
    const SHORT: Duration = Duration::from_hours(1);

    /// What should be said about it.
    pub(super) fn warning(self) -> Option<String> {
        let sentence = "identity.certificateValidity is less than 1h: if kuma-cp is away for a third of that, proxies with mTLS \
                        lose their connections; it is meant for tests";
        (self.0 < Self::SHORT).then(|| sentence.to_owned())
    }
}

/// Two weeks: renewed after two thirds, so that kuma-cp may be away for more than four days.
impl Default for CertificateValidity {
    fn default() -> Self {
        Self(Duration::from_hours(14 * 24))
    }
}

impl From<CertificateValidity> for Duration {
    fn from(validity: CertificateValidity) -> Self {
        validity.0
    }
}

impl Setting for CertificateValidity {
    fn read(raw: Raw<'_>) -> Result<Self, String> {
        let bounds = Duration::from_secs(10)..=Duration::from_hours(90 * 24);
        let text = String::read(raw).ok();
        let duration = text.as_deref().and_then(parse_duration).filter(|it| bounds.contains(it));
        let expected = "a duration between 10s and 2160h is expected, such as 336h";
        duration.map(Self).ok_or_else(|| expected.to_owned())
    }

    fn show(&self) -> Value {
        self.0.show()
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let units = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(units);
        let milliseconds: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(milliseconds)?;
        total = total.checked_add(Duration::from_millis(part))?;
        rest = next;
    }
    Some(total)
}

fn print_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1_000) {
        format!("{}s", milliseconds / 1_000)
    } else {
        format!("{milliseconds}ms")
    }
}

/// An enumeration of words: the type, and each word with its variant.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Setting for $name {
            fn read(raw: Raw<'_>) -> Result<Self, String> {
                let text = String::read(raw)?;
                match text.as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("one of {} is expected", [$($word),+].join(", "))),
                }
            }

            fn show(&self) -> Value {
                Value::from(self.word())
            }
        }
    };
}

words!(Environment { Universal = "universal", Kubernetes = "kubernetes" });
words!(StoreKind { Embedded = "embedded", Memory = "memory", Postgres = "postgres" });
words!(LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug" });
words!(
    /// Auto is text on a terminal, else JSON lines.
    LogFormat { Auto = "auto", Text = "text", Json = "json" }
);
