//! Lists: of a kind, of overviews, of insights; in one mesh or across all; whole, filtered, or a page of them.
//!
//! The entities were encoded when they were written: a list is their bytes behind one another.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Uri, uri::Authority};
use model::{Key, Kind};
use serde_json::json;
use store::{Entry, Present, Store};

use crate::{
    overview,
    query::{Page, Query},
    respond::{Refusal, title},
};

/// A list as it was asked for.
pub(crate) struct Asked<'a> {
    /// `None` across all meshes, and for a kind that lives in none.
    pub(crate) mesh: Option<&'a str>,
    pub(crate) query: &'a Query,
    /// Where the next page is asked for: the same authority and path.
    pub(crate) authority: &'a Authority,
    pub(crate) uri: &'a Uri,
}

/// Whole lists as they were answered last, so that a list which is read over and over is put together once a change.
#[derive(Default)]
pub(crate) struct Lists(Mutex<BTreeMap<Name, Made>>);

type Name = (Kind, Option<String>);

struct Made {
    /// The latest at which it is known to be so.
    revision: u64,
    list: Bytes,
}

/// What all kept lists may have together; beyond it they are made anew.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

impl Lists {
    pub(crate) fn resources(
        &self,
        store: &dyn Store,
        present: &Present,
        kind: Kind,
        asked: &Asked<'_>,
    ) -> Result<Bytes, Refusal> {
        let is_whole = asked.uri.query().is_none();
        let name = (kind, asked.mesh.map(str::to_owned));
        if is_whole && let Some(list) = self.kept(store, present, &name) {
            return Ok(list);
        }
        let (entries, more) = page(filtered(present, kind, asked), asked)?;
        let list = print(&entries.iter().map(|(_, entry)| &entry.json).collect::<Vec<_>>(), more);
        if is_whole {
            self.keep(present, name, &list);
        }
        Ok(list)
    }

    /// The list, if history knows that nothing in it has changed since it was made.
    fn kept(&self, store: &dyn Store, present: &Present, name: &Name) -> Option<Bytes> {
        let now = present.revision().number;
        let mut lists = self.lock();
        let made = lists.get_mut(name)?;
        if made.revision > now {
            return None;
        }
        if made.revision < now {
            let (kind, mesh) = name;
            let concerns =
                |key: &Key| key.kind == *kind && mesh.as_ref().is_none_or(|mesh| **mesh == *key.mesh);
            let changes = store.changes(made.revision).ok()?;
            let mut until_now = changes.iter().take_while(|change| change.revision <= now);
            if until_now.any(|change| concerns(&change.key)) {
                return None;
            }
            made.revision = now;
        }
        Some(made.list.clone())
    }

    fn keep(&self, present: &Present, name: Name, list: &Bytes) {
        let mut lists = self.lock();
        let kept: usize = lists.values().map(|made| made.list.len()).sum();
        if kept + list.len() > KEPT_BYTES {
            lists.clear();
        }
        if list.len() <= KEPT_BYTES {
            lists.insert(name, Made { revision: present.revision().number, list: list.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dataplanes, each with what is known of its proxy.
pub(crate) fn overviews(present: &Present, asked: &Asked<'_>) -> Result<Bytes, Refusal> {
    let (entries, more) = page(filtered(present, Kind::Dataplane, asked), asked)?;
    let items = entries.iter().map(|(key, entry)| overview::overview(present, key, entry));
    Ok(print(&items.collect::<Result<Vec<_>, _>>()?, more))
}

/// What is known of proxies, of those that have ever connected.
pub(crate) fn insights(present: &Present, asked: &Asked<'_>) -> Result<Bytes, Refusal> {
    let dataplanes = filtered(present, Kind::Dataplane, asked).into_iter();
    let known = dataplanes.filter_map(|(key, _)| Some((key, present.insight(key)?)));
    let (known, more) = page(known.collect(), asked)?;
    let items = known.iter().map(|(key, insight)| overview::insight(key, insight));
    Ok(print(&items.collect::<Result<Vec<_>, _>>()?, more))
}

fn filtered<'a>(present: &'a Present, kind: Kind, asked: &Asked<'a>) -> Vec<(&'a Key, &'a Arc<Entry>)> {
    let mut entries = present.tagged(kind, asked.mesh, &asked.query.tags());
    if let Some(part) = asked.query.name() {
        entries.retain(|(key, _)| key.name.contains(part));
    }
    entries
}

/// What stands beside the items of a page.
struct More {
    /// Items on all pages.
    total: usize,
    /// Where the next page is; `None` on the last.
    next: Option<String>,
}

fn page<T>(mut items: Vec<T>, asked: &Asked<'_>) -> Result<(Vec<T>, Option<More>), Refusal> {
    let Some(Page { offset, size }) = asked.query.page(title::RETRIEVE_LIST)? else {
        return Ok((items, None));
    };
    let total = items.len();
    items.truncate(offset.saturating_add(size));
    let items: Vec<T> = items.into_iter().skip(offset).collect();
    let following = offset.saturating_add(size);
    let next = (following < total).then(|| {
        let query = asked.query.with_page(Page { offset: following, size });
        format!("http://{}{}?{query}", asked.authority, asked.uri.path())
    });
    Ok((items, Some(More { total, next })))
}

/// `{"items":[…]}` around what is encoded already; on a page `total` and `next` stand beside it.
fn print(encoded: &[impl Borrow<Bytes>], more: Option<More>) -> Bytes {
    let more = more.map(|More { total, next }| format!(",\"total\":{total},\"next\":{}", json!(next)));
    let more = more.unwrap_or_default();
    // Made in its final size: one that grows would copy a long list several times over.
    let items: usize = encoded.iter().map(|item| item.borrow().len() + 1).sum();
    let mut list = BytesMut::with_capacity(BEGIN.len() + items + 1 + more.len() + 1);
    list.put_slice(BEGIN);
    for (i, item) in encoded.iter().enumerate() {
        if i > 0 {
            list.put_u8(b',');
        }
        list.put_slice(item.borrow());
    }
    list.put_u8(b']');
    list.put_slice(more.as_bytes());
    list.put_u8(b'}');
    list.freeze()
}

const BEGIN: &[u8] = br#"{"items":["#;
