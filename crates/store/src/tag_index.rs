//! Which entities have a tag: so that a filter looks at what it finds, and not at everything.

use std::{collections::BTreeSet, sync::Arc};

use model::{ANY_VALUE, Key, Kind, SERVICE_TAG, Spec, Tags};
use rpds::RedBlackTreeSetSync;

/// Every tag of every entity ([`Spec::tag_sets`]). Persistent, as the rest of the present.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TagIndex(RedBlackTreeSetSync<Tagged>);

/// Ordered so that, of a kind and in a mesh, all that have a tag stand together, and of those all that have one value, by
/// name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tagged {
    kind: Kind,
    mesh: Arc<str>,
    tag: Arc<str>,
    value: Arc<str>,
    name: Arc<str>,
}

impl TagIndex {
    /// Brings the tags of `key` up to date. `before` and `after` are its specs, `None` where it is not there.
    pub(crate) fn replace(&mut self, key: &Key, before: Option<&Spec>, after: Option<&Spec>) {
        let (before, after) = (tags_of(before), tags_of(after));
        for gone in before.difference(&after) {
            self.0.remove_mut(&tagged(gone, key));
        }
        for come in after.difference(&before) {
            self.0.insert_mut(tagged(come, key));
        }
    }

    /// At least those of a kind in a mesh that have all of the `wanted` tags, perhaps more than once: whether one set of
    /// tags has them all is the caller's to see. `None` when nothing is wanted, so that there is nothing to look up.
    pub(crate) fn candidates<'a>(
        &'a self,
        kind: Kind,
        mesh: &'a str,
        wanted: &Tags,
    ) -> Option<impl Iterator<Item = Key> + use<'a>> {
        let exact = |(_, value): &(&String, &String)| *value != ANY_VALUE;
        // A service has few instances; another tag, such as a region, may be everybody's.
        let service = wanted.get_key_value(SERVICE_TAG).filter(exact);
        let (tag, value) = service.or_else(|| wanted.iter().find(exact)).or_else(|| wanted.iter().next())?;
        let value = (value != ANY_VALUE).then(|| Arc::<str>::from(value.as_str()));
        let first = Tagged {
            kind,
            mesh: mesh.into(),
            tag: tag.as_str().into(),
            value: value.clone().unwrap_or_else(|| "".into()),
            name: "".into(),
        };
        let tag = first.tag.clone();
        let found = self.0.range(first..).take_while(move |it| {
            it.kind == kind
                && *it.mesh == *mesh
                && it.tag == tag
                && value.as_ref().is_none_or(|value| it.value == *value)
        });
        Some(found.map(move |it| Key { kind, mesh: it.mesh.clone(), name: it.name.clone() }))
    }

    /// The meshes in which something of the kind has a tag, in order.
    pub(crate) fn meshes(&self, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        let from = move |mesh: Arc<str>| {
            let first = Tagged { kind, mesh, tag: "".into(), value: "".into(), name: "".into() };
            self.0.range(first..).next().filter(|it| it.kind == kind).map(|it| &it.mesh)
        };
        // Nothing is between a text and the same with a zero behind it.
        std::iter::successors(from("".into()), move |mesh| from(format!("{mesh}\0").into()))
    }
}

fn tags_of(spec: Option<&Spec>) -> BTreeSet<(&String, &String)> {
    spec.into_iter().flat_map(Spec::tag_sets).flatten().collect()
}

fn tagged((tag, value): &(&String, &String), key: &Key) -> Tagged {
    Tagged {
        kind: key.kind,
        mesh: key.mesh.clone(),
        tag: tag.as_str().into(),
        value: value.as_str().into(),
        name: key.name.clone(),
    }
}
