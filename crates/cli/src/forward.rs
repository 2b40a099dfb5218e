//! `sidetone webhook listen`: takes callbacks and documents' requests, shows each, and hands it on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::client::Client;
use crate::output::{Output, plain};
use crate::tail::event_of;

/// Longest body that is taken, either way.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How long an application may take: as long as the server waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a form is.
pub const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// Headers that are about one connection, or that are made anew.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-twilio-signature",
];
const SIGNATURE: &str = "x-twilio-signature";

/// Flags of `sidetone webhook listen`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where it listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:8092")]
    listen: SocketAddr,
    /// The application that is asked, signed anew for its own address; without one, everything is answered by an
    /// empty 200.
    #[arg(long, value_name = "URL", value_parser = crate::dev::web_address)]
    forward_to: Option<String>,
    /// Ends after so many requests; never unless told.
    #[arg(long)]
    count: Option<u64>,
}

struct Listener {
    token: String,
    forward_to: Option<String>,
    output: Output,
    http: reqwest::Client,
    taken: tokio::sync::mpsc::Sender<()>,
}

/// Listens until it is ended.
///
/// # Errors
/// One line: that the address cannot be had.
pub async fn run(client: &Client, output: Output, arguments: Arguments) -> Result<(), String> {
    let listen = arguments.listen;
    let told = |error: std::io::Error| format!("{listen}: {error}; choose another with --listen");
    let listener = TcpListener::bind(listen).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    let to = arguments.forward_to.as_deref().unwrap_or("nobody: each is answered 200");
    if output == Output::Text {
        println!(
            "http://{address} is where callbacks and voice URLs may point; it hands on to {to}"
        );
    } else {
        let forward_to = &arguments.forward_to;
        println!("{}", json!({ "url": format!("http://{address}"), "forward_to": forward_to }));
    }
    let (taken, mut requests) = tokio::sync::mpsc::channel(64);
    let state = Arc::new(Listener {
        token: client.running.auth_token.clone(),
        forward_to: arguments.forward_to,
        output,
        http: reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|error| error.to_string())?,
        taken,
    });
    let service = Router::new().fallback(take).with_state(state);
    let served = axum::serve(listener, service).into_future();
    let counted = async {
        let mut left = arguments.count;
        while left != Some(0) {
            requests.recv().await;
            left = left.map(|left| left - 1);
        }
    };
    tokio::select! {
        ended = served => ended.map_err(|error| error.to_string()),
        () = counted => {
            // The last answer is on its way.
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        }
    }
}

async fn take(
    State(listener): State<Arc<Listener>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let began = Instant::now();
    let came = Came::of(&method, &uri, &headers, &body);
    let valid = came.is_valid(&listener.token);
    let response = match &listener.forward_to {
        None => Ok(StatusCode::OK.into_response()),
        Some(base) => listener.hand_on(base, &came, &method, &headers, body).await,
    };
    listener.show(&came, &method, valid, &response, began.elapsed());
    let _ = listener.taken.send(()).await;
    response.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error).into_response())
}

/// What came: the address as its sender wrote it, and the fields of its form.
struct Came {
    url: String,
    path: String,
    params: Vec<(String, String)>,
    signature: String,
}

impl Came {
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Self {
        let header = |name: HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let is_form = header(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
        let params = match is_form && *method != Method::GET {
            true => url::form_urlencoded::parse(body).into_owned().collect(),
            false => Vec::new(),
        };
        let signature = header(HeaderName::from_static(SIGNATURE)).to_owned();
        Self { url: format!("http://{}{path}", header(header::HOST)), path, params, signature }
    }

    fn is_valid(&self, token: &str) -> bool {
        webhook::signature(token, &self.url, &self.params) == self.signature
    }

    /// Returns the fields, those of the query included, as an object.
    fn fields(&self) -> Value {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let all = query.chain(self.params.iter().cloned());
        Value::Object(all.map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
    }
}

impl Listener {
    /// Asks the application, and returns its answer as it is.
    async fn hand_on(
        &self,
        base: &str,
        came: &Came,
        method: &Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, String> {
        let to = joined(base, &came.path);
        let signature = webhook::signature(&self.token, &to, &came.params);
        let mut request = self.http.request(method.clone(), &to).header(SIGNATURE, signature);
        for (name, value) in headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            request = request.header(name, value);
        }
        let told = |error: reqwest::Error| format!("{to}: {error}");
        let answer = request.body(body).send().await.map_err(told)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(told)?;
        let mut response = (status, body).into_response();
        for (name, value) in headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            response.headers_mut().append(name, value.clone());
        }
        Ok(response)
    }

    fn show(
        &self,
        came: &Came,
        method: &Method,
        valid: bool,
        response: &Result<Response, String>,
        took: Duration,
    ) {
        let fields = came.fields();
        let (status, error) = match response {
            Ok(response) => (Some(response.status().as_u16()), None),
            Err(error) => (None, Some(error)),
        };
        match self.output {
            Output::Json => println!(
                "{}",
                json!({
                    "date": httpdate::fmt_http_date(SystemTime::now()),
                    "method": method.as_str(),
                    "url": came.url,
                    "params": fields,
                    "signature_valid": valid,
                    "status": status,
                    "error": error,
                    "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                })
            ),
            Output::Text => {
                let signed = if valid { "signed" } else { "SIGNATURE INVALID" };
                let came_of = status.map_or_else(
                    || error.cloned().unwrap_or_default(),
                    |status| format!("{status} in {} ms", took.as_millis()),
                );
                let (path, event) = (&came.path, event_of(&fields));
                println!("{}", plain(&format!("{method} {path} {event} {signed} -> {came_of}")));
            }
        }
    }
}

/// Returns an application's address for a path: the bare `/` is the address itself.
fn joined(base: &str, path: &str) -> String {
    match path.strip_prefix('/') {
        Some("") => base.to_owned(),
        Some(rest) => format!("{}/{rest}", base.trim_end_matches('/')),
        None => format!("{base}{path}"),
    }
}

/// Returns fields as the body of a form.
pub fn form(params: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_behind_the_application_s_address() {
        for (base, path, expected) in [
            ("http://127.0.0.1:5000", "/", "http://127.0.0.1:5000"),
            ("http://127.0.0.1:5000/hook", "/", "http://127.0.0.1:5000/hook"),
            ("http://127.0.0.1:5000/", "/voice?a=b", "http://127.0.0.1:5000/voice?a=b"),
            ("http://127.0.0.1:5000/app", "/voice", "http://127.0.0.1:5000/app/voice"),
        ] {
            assert_eq!(joined(base, path), expected);
        }
    }
}
