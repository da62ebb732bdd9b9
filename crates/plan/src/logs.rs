//! Where the connections of an outbound are logged: by every TrafficLog that has the two among its sources and destinations, once
//! to each backend of the mesh (Kuma 0.3.0).

use std::collections::{BTreeMap, BTreeSet};

use model::{
    ANY_VALUE, Mesh, SERVICE_TAG, Tags, TrafficLog,
    kinds::logging::{Logging, LoggingBackend},
    log_format::{self, LogFormatError, Placeholder, Segment},
};
use serde::Serialize;

use crate::{Announced, dataplane_view::DataplaneView, reader::Reader};

/// That of a backend without one (Kuma 0.3.0).
const DEFAULT_FORMAT: &str = "[%START_TIME%] %KUMA_SOURCE_ADDRESS%(%KUMA_SOURCE_SERVICE%)->%UPSTREAM_HOST%\
                              (%KUMA_DESTINATION_SERVICE%) took %DURATION%ms, sent %BYTES_SENT% bytes, received: \
                              %BYTES_RECEIVED% bytes\n";

/// One line a connection, to one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionLog {
    /// The mesh's name for it.
    pub backend: String,
    /// The TrafficLogs that ask for it.
    pub traffic_logs: BTreeSet<String>,
    pub destination: LogDestination,
    /// In Envoy's words, with a line break at its end.
    pub format: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogDestination {
    /// A file on the machine of the dataplane, by its absolute path.
    File(String),
    /// `HOST:PORT`, reached from there.
    Tcp(String),
}

/// A TrafficLog that concerns an outbound and does not log it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlogged {
    pub traffic_log: String,
    pub because: UnloggedBecause,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UnloggedBecause {
    /// It names no backend, and the mesh has no default one.
    NoDefaultBackend,
    /// The mesh has no backend of this name.
    NoSuchBackend(String),
    /// The backend cannot be written to: its address or its path is not of its form.
    NoDestination(String),
    /// Envoy could not read the backend's format.
    UnreadableFormat { backend: String, reason: String },
    /// A TCP backend, and nobody to send to it: kuma-dp has announced no pipe.
    NoPipe(String),
    /// The backend's format has an operator that the proxy's Envoy is too old for.
    OldEnvoy { backend: String, operator: String, version: String },
}

/// What the outbounds of one proxy have in common.
pub(crate) struct Logs<'a> {
    mesh_name: &'a str,
    mesh: &'a Mesh,
    /// By name; those that have this Dataplane among their sources.
    from_here: BTreeMap<&'a str, &'a TrafficLog>,
    source: Source<'a>,
    announced: &'a Announced,
}

/// The proxy, as a log names it.
struct Source<'a> {
    service: &'a str,
    /// Empty where no interface of that service is readable.
    address: String,
}

impl<'a> Logs<'a> {
    /// A Dataplane without an inbound is nobody's source.
    pub(crate) fn new(
        mesh: &'a Mesh,
        dataplane: &'a DataplaneView,
        announced: &'a Announced,
        reader: &mut Reader<'a>,
    ) -> Self {
        let services = dataplane.services();
        let looked_for =
            services.iter().copied().chain((!dataplane.inbounds.is_empty()).then_some(ANY_VALUE));
        let mut from_here = BTreeMap::new();
        for service in looked_for {
            let logs = reader.logs_from(service);
            from_here
                .extend(logs.filter(|(_, log)| log.sources().iter().any(|it| dataplane.is_selected_by(it))));
        }
        Self { mesh_name: reader.mesh(), mesh, from_here, source: Source::new(dataplane), announced }
    }

    /// By the name of the backend, and what cannot be done by that of the TrafficLog.
    pub(crate) fn of(&self, destination_service: &str) -> (Vec<ConnectionLog>, Vec<Unlogged>) {
        let destination = Tags::from([(SERVICE_TAG.to_owned(), destination_service.to_owned())]);
        let (mut logged, mut unlogged) = (BTreeMap::<&str, ConnectionLog>::new(), Vec::new());
        for (name, log) in &self.from_here {
            if !log.destinations().iter().any(|selector| selector.matches(&destination)) {
                continue;
            }
            let backend = match self.backend(log) {
                Ok(backend) => backend,
                Err(because) => {
                    unlogged.push(Unlogged { traffic_log: (*name).to_owned(), because });
                    continue;
                }
            };
            if let Some(log) = logged.get_mut(backend.name.as_str()) {
                log.traffic_logs.insert((*name).to_owned());
                continue;
            }
            match self.connection_log(name, backend, destination_service) {
                Ok(log) => drop(logged.insert(&backend.name, log)),
                Err(because) => unlogged.push(Unlogged { traffic_log: (*name).to_owned(), because }),
            }
        }
        (logged.into_values().collect(), unlogged)
    }

    fn backend(&self, log: &TrafficLog) -> Result<&'a LoggingBackend, UnloggedBecause> {
        let logging = self.mesh.logging.as_ref();
        let default = || logging.and_then(Logging::default_backend);
        let name = log.backend().or_else(default).ok_or(UnloggedBecause::NoDefaultBackend)?;
        let mut backends = logging.map(Logging::backends).unwrap_or_default().iter();
        backends
            .find(|backend| backend.name == name)
            .ok_or_else(|| UnloggedBecause::NoSuchBackend(name.to_owned()))
    }

    fn connection_log(
        &self,
        traffic_log: &str,
        backend: &LoggingBackend,
        destination_service: &str,
    ) -> Result<ConnectionLog, UnloggedBecause> {
        let name = || backend.name.clone();
        let destination = destination(backend).ok_or_else(|| UnloggedBecause::NoDestination(name()))?;
        if matches!(destination, LogDestination::Tcp(_)) && self.announced.access_log_pipe.is_none() {
            return Err(UnloggedBecause::NoPipe(name()));
        }
        let format = self.format(&backend.format, destination_service).map_err(|error| {
            UnloggedBecause::UnreadableFormat { backend: name(), reason: error.to_string() }
        })?;
        if self.announced.is_an_older_envoy()
            && let Some(operator) = log_format::new_operator(&format)
        {
            let (operator, version) = (operator.to_owned(), self.announced.envoy_version.clone());
            return Err(UnloggedBecause::OldEnvoy { backend: name(), operator, version });
        }
        let traffic_logs = BTreeSet::from([traffic_log.to_owned()]);
        Ok(ConnectionLog { backend: name(), traffic_logs, destination, format })
    }

    /// With Kuma's placeholders filled in.
    fn format(&self, format: &str, destination_service: &str) -> Result<String, LogFormatError> {
        let format = if format.is_empty() { DEFAULT_FORMAT } else { format };
        let mut text = String::new();
        for segment in log_format::parse(format)? {
            match segment {
                Segment::Envoy(words) => text.push_str(words),
                Segment::Kuma(placeholder) => {
                    text.push_str(&self.value(placeholder, destination_service).replace('%', "%%"));
                }
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }

    fn value(&self, placeholder: Placeholder, destination_service: &str) -> String {
        match placeholder {
            // The port is Kuma 0.3.0's: that of the connection is none of the proxy's own.
            Placeholder::SourceAddress => format!("{}:0", self.source.address),
            Placeholder::SourceAddressWithoutPort => self.source.address.clone(),
            Placeholder::SourceService => self.source.service.to_owned(),
            Placeholder::DestinationService => destination_service.to_owned(),
            Placeholder::Mesh => self.mesh_name.to_owned(),
            Placeholder::TrafficDirection => "OUTBOUND".to_owned(),
            // There is only one, without a name.
            Placeholder::Zone => String::new(),
        }
    }
}

impl<'a> Source<'a> {
    /// Of several services the first by name stands for the Dataplane (Kuma 0.3.0).
    fn new(dataplane: &'a DataplaneView) -> Self {
        let service = dataplane.services().into_iter().next();
        let mut of_service = dataplane.inbounds.iter().filter(|inbound| inbound.service() == service);
        let interface = of_service.find_map(|inbound| inbound.interface);
        let address = interface.map(|it| it.dataplane_address().ip().to_string());
        Self { service: service.unwrap_or_default(), address: address.unwrap_or_default() }
    }
}

fn destination(backend: &LoggingBackend) -> Option<LogDestination> {
    if let Some(file) = &backend.file {
        return file.is_usable().then(|| LogDestination::File(file.path.clone()));
    }
    let tcp = backend.tcp.as_ref()?;
    tcp.host_and_port_number().map(|_| LogDestination::Tcp(tcp.address.clone()))
}
