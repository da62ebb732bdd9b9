//! Reads a mesh for one plan and notes what was read, so that nothing can be read and forgotten.

use std::{collections::BTreeSet, sync::Arc};

use model::{ANY_VALUE, Tags, TrafficLog, TrafficPermission, TrafficRoute};

use crate::{EndpointSet, Part, mesh_view::MeshView, template_view::TemplateView};

pub(crate) struct Reader<'a> {
    mesh: &'a Arc<str>,
    view: &'a MeshView,
    reads: &'a mut BTreeSet<Part>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(mesh: &'a Arc<str>, view: &'a MeshView, reads: &'a mut BTreeSet<Part>) -> Self {
        Self { mesh, view, reads }
    }

    /// Its name.
    pub(crate) fn mesh(&self) -> &'a str {
        self.mesh
    }

    /// The endpoints of a service that have these tags. `*` is no service, and names none either (Kuma 0.3.0).
    pub(crate) fn endpoints(&mut self, service: &str, tags: &Tags) -> EndpointSet {
        if service == ANY_VALUE {
            return EndpointSet::empty();
        }
        self.reads.insert(Part::Endpoints { mesh: self.mesh.clone(), service: Arc::from(service) });
        self.view.endpoints(service, tags)
    }

    /// The routes with a source selector for this `service`, by name.
    pub(crate) fn routes_from(
        &mut self,
        source_service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficRoute)> {
        self.reads
            .insert(Part::Routes { mesh: self.mesh.clone(), source_service: Arc::from(source_service) });
        self.view.routes_from(source_service)
    }

    /// The permissions with a destination selector for this `service`, by name.
    pub(crate) fn permissions_to(
        &mut self,
        destination_service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficPermission)> {
        self.reads.insert(Part::Permissions {
            mesh: self.mesh.clone(),
            destination_service: Arc::from(destination_service),
        });
        self.view.permissions_to(destination_service)
    }

    /// The logs with a source selector for this `service`, by name.
    pub(crate) fn logs_from(
        &mut self,
        source_service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficLog)> + use<'a> {
        self.reads.insert(Part::Logs { mesh: self.mesh.clone(), source_service: Arc::from(source_service) });
        self.view.logs_from(source_service)
    }

    /// The templates with a selector for this `service`, by name.
    pub(crate) fn templates_for(
        &mut self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TemplateView)> + use<'a> {
        self.reads.insert(Part::Templates { mesh: self.mesh.clone(), service: Arc::from(service) });
        self.view.templates_for(service)
    }
}
