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
mod tests {
    use super::*;

    fn refused(format: &str, expected: &str) {
        let error = parse(format).expect_err(format);
        assert_eq!(error.to_string(), expected, "{format}");
    }

    #[test]
    fn a_format_is_cut_at_kuma_s_placeholders() {
        use Placeholder::{Mesh, SourceService};
        for (format, expected) in [
            ("", vec![]),
            ("text\n", vec![Segment::Envoy("text\n")]),
            ("%KUMA_MESH%", vec![Segment::Kuma(Mesh)]),
            (
                "é %START_TIME% %KUMA_SOURCE_SERVICE%->%KUMA_MESH%%BYTES_SENT%",
                vec![
                    Segment::Envoy("é %START_TIME% "),
                    Segment::Kuma(SourceService),
                    Segment::Envoy("->"),
                    Segment::Kuma(Mesh),
                    Segment::Envoy("%BYTES_SENT%"),
                ],
            ),
            ("100%%KUMA_MESH%%", vec![Segment::Envoy("100%%KUMA_MESH%%")]),
            ("%%%KUMA_MESH%", vec![Segment::Envoy("%%"), Segment::Kuma(Mesh)]),
        ] {
            assert_eq!(parse(format), Ok(expected), "{format}");
        }
    }

    #[test]
    fn operators_are_read_as_envoy_reads_them() {
        for format in [
            "%START_TIME()%",
            "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "%REQ(:authority)%",
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):100%",
            "%REQ(a%b)%",
            "%FILTER_STATE(key)% %FILTER_STATE(key:PLAIN):3% %FILTER_STATE(key:FIELD:x)%",
            "%METADATA(ROUTE:a:b)%",
            "%PATH% %PATH:3% %PATH(NQ)% %PATH(:ORIG)%",
            "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG_OR_HOST)%",
            "%COMMON_DURATION(a:b)% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%",
            "%GRPC_STATUS(NUMBER)%",
        ] {
            assert_eq!(parse(format), Ok(vec![Segment::Envoy(format)]));
        }
    }

    #[test]
    fn a_percent_sign_that_begins_nothing_is_refused() {
        for (format, character) in [
            ("%", 1),
            ("é100%", 5),
            ("%%%", 3),
            ("100% of %START_TIME%", 4),
            ("%START_TIME", 1),
            ("%START_TIME%%", 13),
            ("%start_time%", 1),
            ("%%%START_TIME(%Y%", 3),
            ("%REQ(a\nb)%", 1),
            ("%REQ(a):%", 1),
            ("%REQ(a):18446744073709551616%", 1),
            ("%(x)%", 1),
        ] {
            let error = LogFormatError { character, fault: LogFormatFault::SinglePercent };
            assert_eq!(parse(format), Err(error), "{format}");
        }
        refused(
            "100% sure",
            "has a \"%\" at character 4 that begins no placeholder: write \"%%\" for a percent sign",
        );
    }

    #[test]
    fn what_envoy_would_refuse_is_refused_with_a_reason() {
        for (format, expected) in [
            (
                "%KUMA_SOURCE_SERVCE%",
                "has an unknown placeholder %KUMA_SOURCE_SERVCE% at character 1: did you mean %KUMA_SOURCE_SERVICE%?",
            ),
            (
                "é %BYTES_SEND%",
                "has an unknown placeholder %BYTES_SEND% at character 3: did you mean %BYTES_SENT%?",
            ),
            (
                "%FOO%",
                "has an unknown placeholder %FOO% at character 1: use Kuma's %KUMA_…% and the operators of Envoy's access logs",
            ),
            (
                "%CEL(response.code)%",
                "has %CEL(…)% at character 1, which is not supported: a fault in its argument would cost the proxy its listener",
            ),
            ("%KUMA_MESH(x)%", "has %KUMA_MESH(…)% at character 1, but %KUMA_MESH% takes no argument"),
            ("%BYTES_SENT(x)%", "has %BYTES_SENT(…)% at character 1, but %BYTES_SENT% takes no argument"),
            (
                "%KUMA_MESH:5%",
                "has %KUMA_MESH:…% at character 1, but the value of %KUMA_MESH% cannot be cut to a length",
            ),
            (
                "%START_TIME(%Y):4%",
                "has %START_TIME:…% at character 1, but the value of %START_TIME% cannot be cut to a length",
            ),
            ("%REQ()%", "has %REQ% at character 1 without the argument that it needs: %REQ(…)%"),
            (
                "%REQ(a?b?c)%",
                "has %REQ(a?b?c)% at character 1, but the argument has to be a header's name, or two as in X?Y",
            ),
            (
                "%RESP(a b)%",
                "has %RESP(a b)% at character 1, but the argument has to be a header's name, or two as in X?Y",
            ),
            (
                "%REQ(:)%",
                "has %REQ(:)% at character 1, but the argument has to be a header's name, or two as in X?Y",
            ),
            (
                "%START_TIME(%-n)%",
                "has %START_TIME(%-n)% at character 1, but the argument has to be a format of strftime without %n",
            ),
            (
                "%FILTER_STATE(a:FIELD)%",
                "has %FILTER_STATE(a:FIELD)% at character 1, but the argument has to be KEY, KEY:PLAIN, KEY:TYPED or KEY:FIELD:NAME",
            ),
        ] {
            refused(format, expected);
        }
    }

    #[test]
    fn what_an_older_envoy_may_not_know_is_found() {
        for (format, expected) in [
            ("%START_TIME% 100%% %SPAN_ID%", Some("SPAN_ID")),
            ("%%SPAN_ID%%", None),
            ("%REQUESTED_SERVER_NAME% %KUMA_MESH%", None),
            ("%REQUESTED_SERVER_NAME(SNI_FIRST)%", Some("REQUESTED_SERVER_NAME")),
            ("%REQ(a%b)% %LISTENER_NAME%", Some("LISTENER_NAME")),
            ("%", None),
            ("", None),
        ] {
            assert_eq!(new_operator(format), expected, "{format}");
        }
        let known: Vec<_> = Operator::names().collect();
        let listed = operators::NEW.iter().chain(operators::WITH_NEW_ARGUMENT);
        for name in listed {
            assert!(known.contains(name), "{name} is no operator");
        }
    }

    #[test]
    fn no_name_is_twice_in_the_table() {
        let names: Vec<_> = Operator::names().chain(operators::PROGRAMS.iter().copied()).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
    }

    proptest::proptest! {
        #[test]
        fn the_segments_together_are_the_format(format in "(%%|%START_TIME%|%KUMA_MESH%|[a%é ]){0,8}") {
            if let Ok(segments) = parse(&format) {
                let text = |segment: &Segment| match *segment {
                    Segment::Envoy(text) => text.to_owned(),
                    Segment::Kuma(wanted) => {
                        let (name, _) = Placeholder::ALL.iter().find(|(_, known)| *known == wanted).unwrap();
                        format!("%{name}%")
                    }
                };
                assert_eq!(segments.iter().map(text).collect::<String>(), format);
            }
        }
    }
}
