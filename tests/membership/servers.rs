//! Servers of a host that keep what they were asked.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use outrider::lab::Host;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A server on 127.0.0.1. When it is dropped, its port refuses connections.
pub struct Recorder {
    seen: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Recorder {
    /// Speaks HTTP and nothing else: whatever does not look like a request has its connection closed.
    pub async fn http(host: &Host, port: u16) -> Self {
        Self::start(host, port, true).await
    }

    /// Takes connections and says nothing.
    pub async fn tcp(host: &Host, port: u16) -> Self {
        Self::start(host, port, false).await
    }

    async fn start(host: &Host, port: u16, http: bool) -> Self {
        let seen = Arc::default();
        let listening = host.namespace().run(async move { TcpListener::bind(("127.0.0.1", port)).await });
        let listener = listening.await.unwrap().unwrap().into_std().unwrap();
        let record = Arc::clone(&seen);
        let task = host.namespace().spawn(async move {
            // On the runtime of the namespace from here on.
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, http, Arc::clone(&record)));
            }
        });
        Self { seen, task }
    }

    /// First lines of requests; of a TCP server `connected`, and what was sent to it.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, http: bool, seen: Arc<Mutex<Vec<String>>>) {
    if !http {
        seen.lock().unwrap().push("connected".into());
    }
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        text += &String::from_utf8_lossy(&buffer[..length]);
        if !http {
            seen.lock().unwrap().push(text.clone());
        } else if !"GET ".starts_with(text.get(..4).unwrap_or(&text)) {
            return;
        } else if text.contains("\r\n\r\n") {
            seen.lock().unwrap().push(text.lines().next().unwrap_or_default().into());
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            return;
        }
    }
}

/// Serves a whole answer of the metadata as it stands there, also such as the lab's service does not give.
pub async fn serve_document(host: &Host, address: SocketAddr, document: &Arc<Mutex<Value>>) {
    let document = Arc::clone(document);
    let router = Router::new().fallback(move |request: Request| {
        let path = request.uri().path().trim_start_matches("/2016-07-29");
        let found = document.lock().unwrap().pointer(path).map(Value::to_string);
        async move { found.ok_or(StatusCode::NOT_FOUND) }
    });
    let serving = host.namespace().run(async move {
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        std::io::Result::Ok(())
    });
    serving.await.unwrap().unwrap();
}
