//! The status over HTTP: read-only, for machines and for people.
//!
//! Whoever asks costs little, and only so much: connections are few (in all, and from one address), short, and one
//! request long at a time; headers are small and must come soon. What is refused is told in plain words.

use super::desk::Room;
use super::document::Status;
use super::metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections at once, in all and from one address. Further ones are closed at once.
const CONNECTIONS: usize = 128;
/// See [`CONNECTIONS`]. A page and a scraper need three.
const FROM_ONE: usize = 16;
/// A request's line and headers must be here within so long, and be no longer than this.
const HEADERS: Duration = Duration::from_secs(5);
/// See [`HEADERS`].
const LONGEST: usize = 16 * 1024;
/// A connection ends after so long, whatever it is doing: who does not read keeps nothing for ever.
const CONNECTION: Duration = Duration::from_secs(30);

const PAGE: &str = include_str!("page.html");
/// The page is one file, and asks nobody but whom it came from.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PATHS: &str = "/, /status, /group, /metrics, /healthz, /readyz";

/// What serves all connections.
#[derive(Debug)]
pub struct Door {
    room: Arc<Room>,
    token: RwLock<Option<String>>,
    /// Connections of each address.
    guests: Mutex<HashMap<IpAddr, usize>>,
}

impl Door {
    /// Lets everybody in who has the token, if there is one.
    pub fn new(room: Arc<Room>, token: Option<String>) -> Door {
        Door { room, token: RwLock::new(token), guests: Mutex::new(HashMap::new()) }
    }

    /// Wants another token from now on.
    pub fn set_token(&self, token: Option<String>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn enter(self: &Arc<Door>, from: IpAddr) -> Option<Guest> {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = guests.values().sum();
        if all >= CONNECTIONS || guests.get(&from).is_some_and(|own| *own >= FROM_ONE) {
            return None;
        }
        *guests.entry(from).or_default() += 1;
        Some(Guest { door: self.clone(), from })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/" | "/status" | "/group" | "/metrics" | "/healthz" | "/readyz") {
            return text(StatusCode::NOT_FOUND, format!("nothing here; there are {PATHS}\n"));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let why = "read-only: GET or HEAD; `outrider drain` and `undrain` work on the host itself\n";
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, why);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        // The page holds nothing: it asks for the token itself. Health checks cannot bring one.
        if !matches!(path, "/" | "/healthz") && !self.is_welcome(request) {
            let mut response = text(StatusCode::UNAUTHORIZED, "bring the token: Authorization: Bearer ...\n");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        if path == "/" {
            let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", PAGE);
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            return response;
        }
        let Some(status) = self.room.status().await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the agent does not answer\n");
        };
        match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if status.ready => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", unready(&status))),
            "/metrics" => respond(StatusCode::OK, metrics::TYPE, metrics::encode(&status)),
            "/group" => json(&*self.room.group.gather(&status).await),
            _ => json(&*status),
        }
    }

    fn is_welcome(&self, request: &Request<Incoming>) -> bool {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = token.as_ref() else { return true };
        let brought = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let brought = match brought.split_at_checked(7) {
            Some((scheme, brought)) if scheme.eq_ignore_ascii_case(b"bearer ") => brought,
            _ => return false,
        };
        // Takes as long for any token of the right length.
        let differing = brought.iter().zip(token.as_bytes()).fold(0, |all, (one, other)| all | (one ^ other));
        brought.len() == token.len() && differing == 0
    }
}

/// Counts a connection while it lasts.
struct Guest {
    door: Arc<Door>,
    from: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut guests = self.door.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = guests.get_mut(&self.from) {
            *own -= 1;
            if *own == 0 {
                guests.remove(&self.from);
            }
        }
    }
}

/// Why this host could not hold the address.
pub fn unready(status: &Status) -> String {
    let routers = status.routers.iter().filter(|router| !router.is_ready());
    let whys: Vec<String> = routers
        .map(|router| {
            let why = router.unfit.as_ref().or(router.no_claim.as_ref()).unwrap_or(&router.why);
            format!("{}: {why}", router.name)
        })
        .collect();
    whys.join("; ")
}

/// Serves connections for ever.
pub async fn serve(listener: TcpListener, door: Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if let Some(guest) = door.enter(from.ip().to_canonical()) {
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(CONNECTION, converse(stream, &guest)).await;
                    });
                }
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: TcpStream, guest: &Guest) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(guest.door.answer(&request).await) });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(LONGEST)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("status of {}: {error}", guest.from);
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn json(document: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(document) {
        Ok(body) => respond(StatusCode::OK, "application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
