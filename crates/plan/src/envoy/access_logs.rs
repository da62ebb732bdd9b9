//! Access logs: a line a connection, into the pipe that kuma-dp reads, or into a file.
//!
//! What goes into the pipe is one JSON object a line, whose `target` says what becomes of it. JSON, because much of a line is what
//! strangers choose, line breaks too: no text of theirs becomes a line, or a target, of its own.

use std::collections::HashMap;

use envoy_types::{
    pb::{
        envoy::{
            config::{
                accesslog::v3::{AccessLog, access_log::ConfigType},
                core::v3::{
                    DataSource, SubstitutionFormatString, data_source::Specifier,
                    substitution_format_string::Format,
                },
            },
            extensions::access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
        },
        google::protobuf::{Struct, Value, value::Kind},
    },
    util::pack_any,
};
use serde::Serialize;

use crate::{ConnectionLog, LogDestination};

/// What Envoy is told of a [`ConnectionLog`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    destination: LogDestination,
    format: String,
    /// `None`: Envoy writes into the file by itself, if it is one, and refuses the listener's TCP proxy if it cannot.
    pipe: Option<String>,
}

impl Line {
    pub(super) fn new(log: &ConnectionLog, pipe: Option<&String>) -> Self {
        let ConnectionLog { destination, format, .. } = log;
        Self { destination: destination.clone(), format: format.clone(), pipe: pipe.cloned() }
    }
}

/// `None`: there is no pipe, and without it a TCP server is out of reach.
pub(super) fn access_log(Line { destination, format, pipe }: &Line) -> Option<AccessLog> {
    let file = match (pipe, destination) {
        (Some(pipe), destination) => {
            into_pipe(pipe, [("target", literally(&target(destination))), ("text", format.clone())])
        }
        (None, LogDestination::File(path)) => file(path, text(format.clone())),
        (None, LogDestination::Tcp(_)) => return None,
    };
    let config_type = Some(ConfigType::TypedConfig(pack_any(file)));
    Some(AccessLog { name: "traffic_log".to_owned(), config_type, ..AccessLog::default() })
}

/// As kuma-dp knows it.
fn target(destination: &LogDestination) -> String {
    match destination {
        LogDestination::File(path) => format!("file:{path}"),
        LogDestination::Tcp(address) => format!("tcp:{address}"),
    }
}

/// One JSON object a line, of these fields, each a format.
pub(super) fn into_pipe<const FIELDS: usize>(pipe: &str, fields: [(&str, String); FIELDS]) -> FileAccessLog {
    let fields =
        fields.map(|(name, format)| (name.to_owned(), Value { kind: Some(Kind::StringValue(format)) }));
    file(pipe, Format::JsonFormat(Struct { fields: HashMap::from(fields) }))
}

fn text(format: String) -> Format {
    Format::TextFormatSource(DataSource {
        specifier: Some(Specifier::InlineString(format)),
        ..DataSource::default()
    })
}

fn file(path: &str, format: Format) -> FileAccessLog {
    let format = SubstitutionFormatString { format: Some(format), ..SubstitutionFormatString::default() };
    FileAccessLog { path: path.to_owned(), access_log_format: Some(AccessLogFormat::LogFormat(format)) }
}

/// As a format that stands for this text.
pub(super) fn literally(text: &str) -> String {
    text.replace('%', "%%")
}
