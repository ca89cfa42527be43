//! Requests and answers, as the real service (0.10.4) takes and gives them.

use super::world::Data;
use super::{Fault, Manner, World, random, shuffle};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

const VERSIONS: [&str; 4] = ["2015-07-25", "2015-12-19", "2016-07-29", "latest"];
/// Larger bodies are sent in chunks.
const BUFFER: usize = 2048;
/// An entry of a list is also found, and listed, by the first of these it has.
const NAMES: [&str; 2] = ["name", "uuid"];

/// The data as one host's service has it.
pub(super) struct HostView {
    world: World,
    self_uuid: String,
    manner: watch::Receiver<Manner>,
    loaded: Mutex<Option<Arc<Data>>>,
    requests: Mutex<BTreeMap<String, u64>>,
}

pub(super) fn router(host: Arc<HostView>) -> Router {
    Router::new().fallback(answer).with_state(host)
}

async fn answer(State(host): State<Arc<HostView>>, request: Request) -> Response {
    let path = request.uri().path();
    *host.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(path.into()).or_default() += 1;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, String::new());
    }
    if path.contains("//") {
        let clean: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut moved = plain(StatusCode::MOVED_PERMANENTLY, String::new());
        if let Ok(location) = format!("/{}", clean.join("/")).parse() {
            moved.headers_mut().insert(header::LOCATION, location);
        }
        return moved;
    }
    let wait = Wait::of(request.uri().query().unwrap_or_default());
    host.respond(path, wait.as_ref(), wants_json(request.headers())).await
}

impl HostView {
    pub(super) fn new(world: World, self_uuid: &str, manner: watch::Receiver<Manner>) -> Self {
        HostView {
            world,
            self_uuid: self_uuid.into(),
            manner,
            loaded: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    pub(super) fn requests(&self) -> BTreeMap<String, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The data in this host's own order: what the world has now, or (frozen) what was loaded before.
    pub(super) fn load(&self, frozen: bool) -> Arc<Data> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let data = self.world.data();
        match loaded.as_ref() {
            Some(old) if frozen || old.version == data.version => Arc::clone(old),
            _ => {
                let mut document = data.document.clone();
                disorder(&mut document);
                Arc::clone(loaded.insert(Arc::new(Data { version: data.version.clone(), document })))
            }
        }
    }

    async fn respond(&self, path: &str, wait: Option<&Wait>, json: bool) -> Response {
        let mut manner = self.manner.clone();
        let mut changes = self.world.subscribe();
        let slack = manner.borrow().slack.mul_f64(random() as f64 / u64::MAX as f64);
        let deadline = wait.map(|wait| Instant::now() + wait.longest + slack);
        loop {
            changes.borrow_and_update();
            let fault = manner.borrow_and_update().fault.clone();
            let found = match fault {
                Fault::Refuse => return broken_off(&[]),
                Fault::Garbage => return plain(StatusCode::OK, "<html><body>It works!</body></html>".into()),
                Fault::Hang => {
                    // An error means that the server is gone.
                    if manner.changed().await.is_err() {
                        return broken_off(&[]);
                    }
                    continue;
                }
                Fault::NotLoaded => Err("Not found"),
                ref fault => self.look_up(path, fault),
            };
            let waiting = match (wait, &found) {
                (Some(wait), Ok(value)) => text(value) == wait.known,
                (Some(_), Err(_)) => true,
                (None, _) => false,
            };
            if let Some(deadline) = deadline.filter(|deadline| waiting && *deadline > Instant::now()) {
                tokio::select! {
                    _ = changes.changed() => {}
                    seen = manner.changed() => if seen.is_err() { return broken_off(&[]) },
                    () = sleep_until(deadline) => {}
                }
                continue;
            }
            return match found {
                Ok(value) => {
                    let body = if json { value.to_string() } else { text(&value) };
                    if fault == Fault::HalfBody {
                        broken_off(body.as_bytes())
                    } else {
                        plain(StatusCode::OK, body)
                    }
                }
                // The real service ends its errors with a line break.
                Err(why) if json => {
                    let body = json!({ "code": 404, "message": why, "type": "error" });
                    plain(StatusCode::NOT_FOUND, format!("{body}\n"))
                }
                Err(why) => plain(StatusCode::NOT_FOUND, format!("{why}\n")),
            };
        }
    }

    /// The value at a path, or the message that there is none.
    fn look_up(&self, path: &str, fault: &Fault) -> Result<Value, &'static str> {
        let mut parts = path.trim_matches('/').split('/').map(unescape);
        let version = parts.next().unwrap_or_default();
        if version.is_empty() {
            return Ok(VERSIONS
                .iter()
                .map(|version| ((*version).to_owned(), format!("/{version}")))
                .collect());
        }
        if !VERSIONS.contains(&version.as_str()) {
            return Err("Invalid version");
        }
        let document = self.document(fault);
        let parts: Vec<String> = parts.collect();
        let lower: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        walk(&document, &parts).or_else(|| walk(&document, &lower)).cloned().ok_or("Not found")
    }

    /// The whole answer to this host, with the fault put in.
    fn document(&self, fault: &Fault) -> Value {
        let data = self.load(*fault == Fault::Frozen);
        let mut document = data.document.clone();
        let uuid = if let Fault::OtherHost(uuid) = fault { uuid } else { &self.self_uuid };
        let own = document["hosts"].as_array().into_iter().flatten().find(|host| host["uuid"] == **uuid);
        // A host-network process is seen as docker0's address: nothing but the host resolves.
        let own = own.map_or_else(|| json!({}), |host| json!({ "host": host }));
        if let Some(document) = document.as_object_mut() {
            document.insert("self".into(), own);
            document.insert("version".into(), data.version.clone().into());
            for value in document.values_mut() {
                if value.as_array().is_some_and(|list| list.is_empty() || *fault == Fault::Empty) {
                    *value = Value::Null;
                }
            }
        }
        document
    }
}

/// A long poll.
struct Wait {
    known: String,
    longest: Duration,
}

impl Wait {
    /// Without a value there is no waiting.
    fn of(query: &str) -> Option<Self> {
        let query = pairs(query);
        let get = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        let known = get("value").filter(|_| get("wait").as_deref() == Some("true"))?;
        let seconds = match get("maxWait").and_then(|seconds| seconds.parse().ok()).unwrap_or(0) {
            0 => 60,
            seconds => u64::min(seconds, 120),
        };
        Some(Wait { known, longest: Duration::from_secs(seconds) })
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://lab/?{query}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

/// Path segments are unescaped as if they stood in a query.
fn unescape(segment: &str) -> String {
    let segment = segment.replace('&', "%26").replace('=', "%3D");
    pairs(&segment).into_iter().next().map(|(key, _)| key).unwrap_or_default()
}

/// JSON is sent only if it is liked better than plain text: a tie is plain text.
fn wants_json(headers: &HeaderMap) -> bool {
    let (mut json, mut text) = (0.0, 0.0);
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for item in accepted.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        match kind {
            "application/json" => json = f64::max(json, quality),
            "text/plain" | "text/*" | "*/*" => text = f64::max(text, quality),
            _ => {}
        }
    }
    json > text
}

/// By key; in a list by index, or by the name or uuid of an entry.
fn walk<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Object(map) => map.get(part),
        Value::Array(list) => match part.parse::<usize>() {
            Ok(index) => list.get(index),
            Err(_) => list.iter().find(|entry| NAMES.iter().any(|name| entry[*name] == **part)),
        },
        _ => None,
    })
}

/// The plain text form: a scalar as it is, a map as its keys, a list as its indices.
fn text(value: &Value) -> String {
    let nested = |value: &Value| if value.is_object() || value.is_array() { "/" } else { "" };
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}{}\n", nested(value))).collect(),
        Value::Array(list) => {
            let line =
                |(index, entry): (usize, &Value)| match NAMES.iter().find_map(|name| entry[*name].as_str()) {
                    Some(name) => format!("{index}={name}\n"),
                    None => format!("{index}{}\n", nested(entry)),
                };
            list.iter().enumerate().map(line).collect()
        }
    }
}

/// At every reload, all arrays are in another order.
fn disorder(value: &mut Value) {
    match value {
        Value::Array(list) => {
            shuffle(list);
            list.iter_mut().for_each(disorder);
        }
        Value::Object(map) => map.values_mut().for_each(disorder),
        _ => {}
    }
}

/// Everything is called plain text, JSON too.
fn plain(status: StatusCode, body: String) -> Response {
    let body = match body.len() > BUFFER {
        true => Body::from_stream(stream::iter([Ok::<_, io::Error>(body)])),
        false => Body::from(body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Half of it, and the connection ends.
fn broken_off(body: &[u8]) -> Response {
    let (half, _) = body.split_at(body.len() / 2);
    let half = stream::iter([Ok(half.to_vec())]);
    let end = stream::once(async {
        // What is not sent before the error is not sent at all.
        tokio::task::yield_now().await;
        Err(io::Error::other("broken off on purpose"))
    });
    let mut response = plain(StatusCode::OK, String::new());
    if body.len() <= BUFFER {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    }
    *response.body_mut() = Body::from_stream(half.chain(end));
    response
}
