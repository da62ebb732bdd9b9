//! Log lines on stderr, Envoy's among them: text on a terminal, else one JSON object a line with `ts`, `level`, `target`,
//! `msg`, then the fields of the event.
//!
//! Lines are lost rather than waited for ([`queue`]): whoever reads stderr has no hold on the proxy.

mod queue;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::logs::queue::Queue;

/// What the last lines have at the end of the process, if stderr does not take them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The levels of Kuma 0.3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    Off,
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// How kuma-dp logs, and so how its Envoy is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: Level,
    pub(crate) format: Format,
}

/// The log of the whole process. When it is dropped, its last lines are written, as far as stderr takes them within a second.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Arc<Queue>,
    format: Format,
}

/// Starts logging for the whole process.
pub(crate) fn start(level: Level) -> io::Result<Log> {
    let format = if io::stderr().is_terminal() { Format::Text } else { Format::Json };
    let filter = EnvFilter::new(match level {
        Level::Off => "off",
        Level::Info => "warn,launcher=info",
        Level::Debug => "info,launcher=debug",
    });
    let lines = Queue::start(io::stderr(), say_lost)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Arc::clone(&lines));
    match format {
        Format::Text => subscriber.with_ansi(true).init(),
        Format::Json => subscriber.event_format(JsonLines).init(),
    }
    Ok(Log { lines, format })
}

/// All since the start: that stays right if this line is lost, too.
fn say_lost(lost: u64) {
    warn!(lost, "lines of this log were lost, because standard error did not take them in time");
}

impl Log {
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A line for a person, whatever the level and the format, after all that was logged.
    pub(crate) fn print(&self, line: &str) {
        self.lines.push(format!("{line}\n").as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.flush(LAST_WORDS);
    }
}

impl Level {
    pub(crate) fn of_envoy(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Format {
    /// In the syntax of `envoy --log-format`: `%j` is the message escaped for JSON.
    pub(crate) fn of_envoy(self) -> &'static str {
        match self {
            Self::Text => "%Y-%m-%dT%T.%f%z %l envoy::%n: %v",
            Self::Json => r#"{"ts":"%Y-%m-%dT%T.%f%z","level":"%l","target":"envoy::%n","msg":"%j"}"#,
        }
    }
}

struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(
            writer,
            r#"{{"ts":"{timestamp}","level":"{}","target":{},"msg":{}"#,
            metadata.level().as_str().to_ascii_lowercase(),
            Value::from(metadata.target()),
            Value::from(fields.message),
        )?;
        for (name, value) in &fields.others {
            write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
        }
        writeln!(writer, "}}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.add(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.add(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}
