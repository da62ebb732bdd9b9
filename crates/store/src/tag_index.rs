//! Which entities have a tag: so that a filter looks at what it finds, and not at everything.

use std::{collections::BTreeSet, sync::Arc};

use model::{ANY_VALUE, Key, Kind, SERVICE_TAG, Spec, Tags};
use rpds::RedBlackTreeSetSync;

/// Every tag of every entity ([`Spec::tag_sets`]). Persistent, as the rest of the present.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TagIndex(RedBlackTreeSetSync<Tagged>);

/// Ordered so that all of a kind that have one tag with one value stand together, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tagged {
    tag: Arc<str>,
    value: Arc<str>,
    key: Key,
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

    /// At least those of a kind, and of a mesh if one is given, that have all of the `wanted` tags, in no order and perhaps
    /// more than once: whether one set of tags has them all is the caller's to see. `None` when nothing is wanted, so that
    /// there is nothing to look up.
    pub(crate) fn candidates<'a>(
        &'a self,
        kind: Kind,
        mesh: Option<&'a str>,
        wanted: &Tags,
    ) -> Option<Box<dyn Iterator<Item = &'a Key> + 'a>> {
        let exact = |(_, value): &(&String, &String)| *value != ANY_VALUE;
        // A service has few instances; another tag, such as a region, may be everybody's.
        let service = wanted.get_key_value(SERVICE_TAG).filter(exact);
        if let Some((tag, value)) = service.or_else(|| wanted.iter().find(exact)) {
            let key = Key { kind, mesh: mesh.unwrap_or_default().into(), name: "".into() };
            let first = Tagged { tag: tag.as_str().into(), value: value.as_str().into(), key };
            let (tag, value) = (first.tag.clone(), first.value.clone());
            let found = self.0.range(first..).map_while(move |it| {
                let fits = it.tag == tag && it.value == value && is_of(&it.key, kind, mesh);
                fits.then_some(&it.key)
            });
            return Some(Box::new(found));
        }
        let (tag, _any) = wanted.iter().next()?;
        let key = Key { kind: Kind::Mesh, mesh: "".into(), name: "".into() };
        let first = Tagged { tag: tag.as_str().into(), value: "".into(), key };
        let tag = first.tag.clone();
        let found = self.0.range(first..).take_while(move |it| it.tag == tag).map(|it| &it.key);
        Some(Box::new(found.filter(move |key| is_of(key, kind, mesh))))
    }
}

fn is_of(key: &Key, kind: Kind, mesh: Option<&str>) -> bool {
    key.kind == kind && mesh.is_none_or(|mesh| &*key.mesh == mesh)
}

fn tags_of(spec: Option<&Spec>) -> BTreeSet<(&String, &String)> {
    spec.into_iter().flat_map(Spec::tag_sets).flatten().collect()
}

fn tagged((tag, value): &(&String, &String), key: &Key) -> Tagged {
    Tagged { tag: tag.as_str().into(), value: value.as_str().into(), key: key.clone() }
}
