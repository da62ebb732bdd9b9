//! Lists: of a kind, of overviews, of insights; in one mesh or across all; whole, filtered, or a page of them.
//!
//! The entities were encoded when they were written: a list is their bytes behind one another.

use bytes::{BufMut, Bytes, BytesMut};
use http::{Uri, uri::Authority};
use model::{Key, Kind};
use serde_json::json;
use store::{Entry, Present};

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

pub(crate) fn resources(present: &Present, kind: Kind, asked: &Asked<'_>) -> Result<Bytes, Refusal> {
    let (entries, more) = page(filtered(present, kind, asked), asked)?;
    Ok(print(entries.iter().map(|(_, entry)| entry.json.clone()), more))
}

/// Dataplanes, each with what is known of its proxy.
pub(crate) fn overviews(present: &Present, asked: &Asked<'_>) -> Result<Bytes, Refusal> {
    let (entries, more) = page(filtered(present, Kind::Dataplane, asked), asked)?;
    let items = entries.iter().map(|(key, entry)| overview::overview(present, key, entry));
    Ok(print(items.collect::<Result<Vec<_>, _>>()?, more))
}

/// What is known of proxies, of those that have ever connected.
pub(crate) fn insights(present: &Present, asked: &Asked<'_>) -> Result<Bytes, Refusal> {
    let dataplanes = filtered(present, Kind::Dataplane, asked).into_iter();
    let known = dataplanes.filter_map(|(key, _)| Some((key, present.insight(key)?)));
    let (known, more) = page(known.collect(), asked)?;
    let items = known.iter().map(|(key, insight)| overview::insight(key, insight));
    Ok(print(items.collect::<Result<Vec<_>, _>>()?, more))
}

fn filtered<'a>(
    present: &'a Present,
    kind: Kind,
    asked: &Asked<'a>,
) -> Vec<(&'a Key, &'a std::sync::Arc<Entry>)> {
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
fn print(encoded: impl IntoIterator<Item = Bytes>, more: Option<More>) -> Bytes {
    let mut list = BytesMut::from(r#"{"items":["#);
    for (i, item) in encoded.into_iter().enumerate() {
        if i > 0 {
            list.put_u8(b',');
        }
        list.put_slice(&item);
    }
    list.put_u8(b']');
    if let Some(More { total, next }) = more {
        let next = json!(next);
        list.put_slice(format!(",\"total\":{total},\"next\":{next}").as_bytes());
    }
    list.put_u8(b'}');
    list.freeze()
}
