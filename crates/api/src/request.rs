//! One request, from its arrival to its answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, StatusCode, request::Parts, uri::Authority};
use store::Present;

use crate::{
    Api, Peer,
    audit::{Caller, RefusalLog},
    bootstrap, index, inspection, list, mesh_cas, min_revision, negotiate, openapi,
    path::{self, NotUtf8, READ, Route},
    query::Query,
    read,
    respond::{Answer, Refusal, kuma_revision, title},
    retrieve, token_changes, tokens, transaction,
    watch::{self, Closing, Watched},
    write,
};

struct Server {
    api: Arc<Api>,
    refusals: RefusalLog,
    lists: list::Lists,
    inspections: inspection::Inspections,
    /// What `GET /openapi.json` answers.
    openapi: Bytes,
}

pub(crate) fn router(api: Api) -> Router {
    let openapi = openapi::document(api.version, api.limits.body_bytes);
    let server = Server {
        api: Arc::new(api),
        refusals: RefusalLog::default(),
        lists: list::Lists::default(),
        inspections: inspection::Inspections::default(),
        openapi,
    };
    Router::new().fallback(serve).with_state(Arc::new(server))
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let api = &server.api;
    let caller = Caller::new(parts.extensions.get::<Peer>());
    let route = path::parse(parts.uri.path());
    let known = route.as_ref().ok().and_then(|route| route.as_ref());
    let pattern = known.map_or("unknown", Route::pattern);
    let origin = known.and_then(|route| api.cors.allowed(route, &parts.headers));

    // A fault of ours takes down the request that met it, and no other.
    let answered = AssertUnwindSafe(answer(&server, &caller, &route, &parts, &mut body)).catch_unwind().await;
    let answered = answered.unwrap_or_else(|_| Err(Refusal::internal(title::REQUEST, &"it panicked")));
    let mut answer = answered.unwrap_or_else(|refusal| {
        if is_worth_a_line(&parts.method, refusal.status) {
            let now = (api.now)();
            server.refusals.refused(now, &caller, &parts.method, parts.uri.path(), &refusal);
        }
        refusal.into_answer().map(Body::from)
    });
    let is_late = answer.status() == StatusCode::REQUEST_TIMEOUT;
    if !answer.status().is_success() && !is_late {
        read::drain(&api.limits, &parts.headers, &mut body).await;
    }
    kuma_revision(answer.headers_mut(), api.store.present().revision());
    api.cors.mark(origin, answer.headers_mut());
    // Of an answer to HEAD axum keeps the length and leaves out the body.
    api.metrics.observe(pattern, method_label(&parts.method), answer.status().as_u16(), started.elapsed());
    answer
}

async fn answer(
    server: &Server,
    caller: &Caller,
    route: &Result<Option<Route>, NotUtf8>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Refusal> {
    let api = &server.api;
    let asked = api.hosts.admit(parts)?;
    let route = match route {
        Ok(Some(route)) => route,
        Ok(None) => return Err(Refusal::not_found(title::REQUEST)),
        Err(error) => return Err(Refusal::bad_request(title::REQUEST, error.to_string())),
    };
    if api.cors.is_preflight(&parts.method, &parts.headers) {
        let answer = api.cors.preflight(route, methods(api, route), &parts.headers)?;
        return Ok(answer.map(Body::from));
    }
    refuse_other_methods(api, route, &parts.method)?;
    let query = Query::of(&parts.uri);
    if matches!(parts.method, Method::GET | Method::HEAD) {
        min_revision::wait(&*api.store, &parts.headers).await?;
        if let Some(watched) = watched(route, &query)? {
            let closing = parts.extensions.get::<Closing>().cloned();
            return watch::watch(
                &api.store,
                api.limits.watch_quiet,
                watched,
                &query,
                &parts.headers,
                closing,
            );
        }
        if let Route::Inspection(dataplane) = route {
            let inspections = &server.inspections;
            let inspected = inspection::inspect(api, inspections, dataplane, &query, &parts.headers).await?;
            return Ok(inspected.map(Body::from));
        }
        if let Route::MeshCas(mesh) = route {
            return Ok(mesh_cas::list(api, mesh, &parts.headers).await?.map(Body::from));
        }
        let present = api.store.present();
        let got = get(server, &present, route, parts, &query, &asked);
        // Also what is not there is not there at this revision.
        let mut answer = got.unwrap_or_else(Refusal::into_answer);
        kuma_revision(answer.headers_mut(), present.revision());
        return Ok(answer.map(Body::from));
    }
    if api.cors.allowed(route, &parts.headers).is_none() {
        api.hosts.admit_write(&parts.headers, &asked)?;
    }
    min_revision::wait(&*api.store, &parts.headers).await?;
    Ok(change(api, caller, route, parts, &query, body).await?.map(Body::from))
}

fn methods(api: &Api, route: &Route) -> &'static [&'static str] {
    match route {
        Route::Item(_) | Route::Revocations | Route::TokenKeys | Route::MeshCas(_)
            if api.read_only.is_some() =>
        {
            READ
        }
        Route::Transactions | Route::TokenKey(_) | Route::MeshCa { .. } | Route::MeshCaSigning { .. }
            if api.read_only.is_some() =>
        {
            &[]
        }
        _ => route.methods(),
    }
}

fn refuse_other_methods(api: &Api, route: &Route, method: &Method) -> Result<(), Refusal> {
    let methods = methods(api, route);
    if methods.contains(&method.as_str()) {
        return Ok(());
    }
    let details = match &api.read_only {
        Some(reason) if methods.is_empty() || route.methods().contains(&method.as_str()) => reason.clone(),
        _ => format!("{method} is not possible here; {} is.", methods.join(", ")),
    };
    Err(Refusal::method_not_allowed(title::REQUEST, details, methods))
}

/// What a GET watches, if it asks for that.
fn watched(route: &Route, query: &Query) -> Result<Option<Watched>, Refusal> {
    if query.get("watch").is_none() {
        return Ok(None);
    }
    let watched = match route {
        Route::Item(key) => Some(Watched::Item(key.clone())),
        Route::Collection { kind, mesh } => {
            let name = query.name().map(str::to_owned);
            Some(Watched::Collection { kind: *kind, mesh: mesh.clone(), name })
        }
        Route::Overviews { .. }
        | Route::Overview(_)
        | Route::Insights { .. }
        | Route::Insight(_)
        | Route::Inspection(_) => None,
        _ => return Ok(None),
    };
    if !watch::is_asked(query)? {
        return Ok(None);
    }
    watched.map(Some).ok_or_else(|| {
        let details =
            "Only resources and their collections can be watched: what is known of proxies has no revisions.";
        Refusal::bad_request(title::RETRIEVE_LIST, details)
    })
}

fn get(
    server: &Server,
    present: &Present,
    route: &Route,
    parts: &Parts,
    query: &Query,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    let api = &server.api;
    if *route == Route::Ca {
        return Ok(index::ca(api));
    }
    let title = match route {
        Route::Item(_) | Route::Insight(_) => title::RETRIEVE,
        Route::Overview(_) => title::RETRIEVE_OVERVIEW,
        Route::Collection { .. } | Route::Overviews { .. } | Route::Insights { .. } => title::RETRIEVE_LIST,
        _ => title::REQUEST,
    };
    let format = negotiate::accepted(&parts.headers, title)?;
    let asked = |mesh| list::Asked { mesh, query, authority, uri: &parts.uri };
    let json: Bytes = match route {
        Route::Item(key) => return retrieve::item(present, key, &parts.headers, format),
        Route::Collection { kind, mesh } => {
            server.lists.resources(&*api.store, present, *kind, &asked(mesh.as_deref()))?
        }
        Route::Overviews { mesh } => list::overviews(present, &asked(mesh.as_deref()))?,
        Route::Overview(key) => retrieve::overview(present, key)?,
        Route::Insights { mesh } => list::insights(present, &asked(mesh.as_deref()))?,
        Route::Insight(key) => retrieve::insight(present, key)?,
        Route::Index => index::index(api),
        Route::Catalogue => index::catalogue(api, authority),
        Route::Config => index::config(api),
        Route::OpenApi => server.openapi.clone(),
        Route::Revocations => token_changes::revocations(present),
        Route::TokenKeys => token_changes::keys(present),
        Route::Ca
        | Route::Tokens
        | Route::TokenKey(_)
        | Route::Bootstrap
        | Route::Transactions
        | Route::Inspection(_)
        | Route::MeshCas(_)
        | Route::MeshCa { .. }
        | Route::MeshCaSigning { .. } => {
            return Err(Refusal::not_found(title));
        }
    };
    negotiate::represent(json, format, title)
}

async fn change(
    api: &Arc<Api>,
    caller: &Caller,
    route: &Route,
    parts: &Parts,
    query: &Query,
    body: &mut Body,
) -> Result<Answer, Refusal> {
    let headers = &parts.headers;
    let caller = caller.clone();
    match route {
        Route::Item(key) if parts.method == Method::PUT => {
            write::put(api, caller, key.clone(), write::Head { headers, query }, body).await
        }
        Route::Item(key) => write::delete(api, caller, key.clone(), write::Head { headers, query }).await,
        Route::Transactions => transaction::commit(api, caller, headers, query, body).await,
        Route::Tokens if !api.tokens_enabled => {
            let details = "This control plane gives out no tokens: dataplaneTokenServer.enabled is false.";
            Err(Refusal::new(StatusCode::NOT_FOUND, title::TOKEN, details))
        }
        _ if route.is_of_tokens() && query.get("dryRun").is_some() => {
            let details = "There is no dry run of tokens: dryRun is for resources and transactions.";
            Err(Refusal::bad_request(title::REQUEST, details))
        }
        Route::Tokens => {
            negotiate::require_json(headers, title::TOKEN)?;
            let body = read::body(&api.limits, headers, body, title::TOKEN).await?;
            tokens::issue(api, &caller, &body)
        }
        Route::Revocations => {
            negotiate::require_json(headers, title::REVOCATION)?;
            let body = read::body(&api.limits, headers, body, title::REVOCATION).await?;
            token_changes::revoke(api, caller, &body).await
        }
        Route::TokenKeys => {
            negotiate::require_json_if_any(headers, title::TOKEN_KEYS)?;
            token_changes::make_key(api, caller).await
        }
        Route::TokenKey(kid) => token_changes::retire_key(api, caller, kid).await,
        Route::MeshCas(mesh) => mesh_cas::add(api, caller, mesh, headers, query).await,
        Route::MeshCa { mesh, id } => {
            mesh_cas::retire(api, caller, mesh_cas::Named { mesh, id }, query).await
        }
        Route::MeshCaSigning { mesh, id } => {
            mesh_cas::sign_with(api, caller, mesh_cas::Named { mesh, id }, headers, query).await
        }
        Route::Bootstrap => {
            negotiate::require_json(headers, title::BOOTSTRAP)?;
            let body = read::body(&api.limits, headers, body, title::BOOTSTRAP).await?;
            bootstrap::generate(api, &body)
        }
        _ => Err(Refusal::not_found(title::REQUEST)),
    }
}

/// What was refused for who asked or from where, and every refused change; a GET of what is not there is everyday life.
fn is_worth_a_line(method: &Method, status: StatusCode) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
        || matches!(status, StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST)
}

/// A method as a metric names it: what a client makes up adds no label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
