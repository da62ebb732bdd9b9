//! The format of an access log: text with Envoy's operators and Kuma's own placeholders.
//!
//! Envoy refuses a listener as a whole when it cannot read the format of one of its logs. So a format is read here,
//! by Envoy's grammar and with Envoy's operators, before it is accepted; and it is read into [`Segment`]s, so that a
//! value put in the place of a placeholder is never taken for an operator.

mod operators;

use std::fmt;

use operators::Operator;

use crate::{excerpt::one_line, nearest::nearest};

/// A part of a format, in order. Together they are the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Text, `%%` and operators, for Envoy as they stand.
    Envoy(&'a str),
    /// To be replaced by a value in which every `%` is written `%%`.
    Kuma(Placeholder),
}

/// What the control plane knows better than Envoy. The first three are Kuma 0.3.0's, the others came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    SourceAddress,
    SourceService,
    DestinationService,
    SourceAddressWithoutPort,
    Mesh,
    TrafficDirection,
    Zone,
}

/// Why Envoy could not read a format, and where. Displayed as the message of a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormatError {
    /// Where what is wrong begins, counted from 1.
    pub character: usize,
    pub fault: LogFormatFault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormatFault {
    /// It begins no placeholder.
    SinglePercent,
    UnknownOperator {
        name: String,
        nearest: Option<&'static str>,
    },
    /// Its argument is a program, which nobody can judge but Envoy.
    ProgramOperator {
        name: String,
    },
    NoArgument {
        name: String,
    },
    NoLength {
        name: String,
    },
    MissingArgument {
        name: String,
    },
    BadArgument {
        name: String,
        argument: String,
        expected: &'static str,
    },
}

impl Placeholder {
    const ALL: [(&str, Self); 7] = [
        ("KUMA_SOURCE_ADDRESS", Self::SourceAddress),
        ("KUMA_SOURCE_SERVICE", Self::SourceService),
        ("KUMA_DESTINATION_SERVICE", Self::DestinationService),
        ("KUMA_SOURCE_ADDRESS_WITHOUT_PORT", Self::SourceAddressWithoutPort),
        ("KUMA_MESH", Self::Mesh),
        ("KUMA_TRAFFIC_DIRECTION", Self::TrafficDirection),
        ("KUMA_ZONE", Self::Zone),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, placeholder)| *placeholder)
    }
}

/// Every operator of Envoy's that a format may have, by its name.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    Operator::names()
}

/// Reads a format, to the first fault in it.
pub fn parse(format: &str) -> Result<Vec<Segment<'_>>, LogFormatError> {
    let mut segments = Vec::new();
    let (mut for_envoy, mut at) = (0, 0);
    while let Some(percent) = format[at..].find('%') {
        let start = at + percent;
        if format[start..].starts_with("%%") {
            at = start + "%%".len();
            continue;
        }
        let here = |fault| LogFormatError { character: format[..start].chars().count() + 1, fault };
        let command = Command::parse(&format[start..]).ok_or_else(|| here(LogFormatFault::SinglePercent))?;
        at = start + command.len;
        if let Some(placeholder) = command.check().map_err(here)? {
            push_for_envoy(&mut segments, &format[for_envoy..start]);
            segments.push(Segment::Kuma(placeholder));
            for_envoy = at;
        }
    }
    push_for_envoy(&mut segments, &format[for_envoy..]);
    Ok(segments)
}

/// The first operator of a format that an Envoy older than 1.40 may not know: it would refuse the log, and the listener with it.
pub fn new_operator(format: &str) -> Option<&str> {
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        rest = &rest[percent..];
        let Some(command) = Command::parse(rest) else {
            rest = rest.strip_prefix("%%")?; // Else it is no format.
            continue;
        };
        let has_new_argument =
            command.argument.is_some() && operators::WITH_NEW_ARGUMENT.contains(&command.name);
        if has_new_argument || operators::NEW.contains(&command.name) {
            return Some(command.name);
        }
        rest = &rest[command.len..];
    }
    None
}

fn push_for_envoy<'a>(segments: &mut Vec<Segment<'a>>, text: &'a str) {
    if !text.is_empty() {
        segments.push(Segment::Envoy(text));
    }
}

/// `%NAME(argument):length%`. Empty parentheses are as good as none.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    has_length: bool,
    /// Of the whole, in bytes.
    len: usize,
}

impl<'a> Command<'a> {
    /// At the beginning of `text`. Envoy's own regular expression is
    /// `%([A-Z0-9_]+)(\(([^)]*)\))?(:([0-9]+))?%`, and does not let the argument span lines.
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix('%')?;
        let (name, rest) = rest.split_at(rest.find(|char| !is_in_name(char))?);
        let (argument, rest) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')')?,
            None => ("", rest),
        };
        let (has_length, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, skip_length(rest)?),
            None => (false, rest),
        };
        let rest = rest.strip_prefix('%')?;
        let well_formed = !name.is_empty() && !argument.contains('\n');
        let argument = Some(argument).filter(|argument| !argument.is_empty());
        well_formed.then_some(Self { name, argument, has_length, len: text.len() - rest.len() })
    }

    /// The placeholder that it is, if it is not Envoy's.
    fn check(&self) -> Result<Option<Placeholder>, LogFormatFault> {
        let name = || self.name.to_owned();
        let placeholder = Placeholder::from_name(self.name);
        let operator = match placeholder {
            Some(_) => Operator::PLAIN,
            None => Operator::find(self.name).ok_or_else(|| unknown(self.name))?,
        };
        match (operator.argument, self.argument) {
            (None, Some(_)) => return Err(LogFormatFault::NoArgument { name: name() }),
            (Some(argument), None) if argument.required => {
                return Err(LogFormatFault::MissingArgument { name: name() });
            }
            (Some(expected), Some(argument)) if !(expected.is_valid)(argument) => {
                let (argument, expected) = (argument.to_owned(), expected.description);
                return Err(LogFormatFault::BadArgument { name: name(), argument, expected });
            }
            _ => {}
        }
        if self.has_length && !operator.length {
            return Err(LogFormatFault::NoLength { name: name() });
        }
        Ok(placeholder)
    }
}

fn is_in_name(char: char) -> bool {
    matches!(char, 'A'..='Z' | '0'..='9' | '_')
}

fn skip_length(text: &str) -> Option<&str> {
    let (digits, rest) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    digits.parse::<u64>().ok().map(|_| rest)
}

fn unknown(name: &str) -> LogFormatFault {
    let name = name.to_owned();
    if operators::PROGRAMS.contains(&name.as_str()) {
        return LogFormatFault::ProgramOperator { name };
    }
    let known = Placeholder::ALL.iter().map(|(known, _)| *known).chain(Operator::names());
    LogFormatFault::UnknownOperator { nearest: nearest(&name, known), name }
}

impl fmt::Display for LogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = format_args!("at character {}", self.character);
        match &self.fault {
            LogFormatFault::SinglePercent => {
                write!(f, "has a \"%\" {at} that begins no placeholder: write \"%%\" for a percent sign")
            }
            LogFormatFault::UnknownOperator { name, nearest: Some(nearest) } => {
                write!(f, "has an unknown placeholder %{name}% {at}: did you mean %{nearest}%?")
            }
            LogFormatFault::UnknownOperator { name, nearest: None } => write!(
                f,
                "has an unknown placeholder %{}% {at}: use Kuma's %KUMA_…% and the operators of Envoy's access logs",
                one_line(name)
            ),
            LogFormatFault::ProgramOperator { name } => write!(
                f,
                "has %{name}(…)% {at}, which is not supported: a fault in its argument would cost the proxy its listener"
            ),
            LogFormatFault::NoArgument { name } => {
                write!(f, "has %{name}(…)% {at}, but %{name}% takes no argument")
            }
            LogFormatFault::NoLength { name } => {
                write!(f, "has %{name}:…% {at}, but the value of %{name}% cannot be cut to a length")
            }
            LogFormatFault::MissingArgument { name } => {
                write!(f, "has %{name}% {at} without the argument that it needs: %{name}(…)%")
            }
            LogFormatFault::BadArgument { name, argument, expected } => {
                let argument = one_line(argument);
                write!(f, "has %{name}({argument})% {at}, but the argument has to be {expected}")
            }
        }
    }
}

impl std::error::Error for LogFormatError {}

#[cfg(test)]
mod tests;
