//! The server under test: the binary that users run, as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Origin;
use crate::judge;
use crate::openapi::OpenApi;

/// Where a server's terminal is kept.
const BANNER: &str = "banner.txt";
/// Where a server logs whose flags say what.
const LOG: &str = "log.txt";

/// The settings of a server for production.
const SETTINGS: &str = "sidetone.toml";

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, `null` where it was empty.
    pub body: Value,
}

impl Answer {
    /// Returns a field of the body as text, empty where it is none.
    pub fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_default().to_owned()
    }
}

/// Who asks: an account or a key, and what proves it.
#[derive(Debug, Clone)]
pub struct Login {
    /// The SID of an account or a key.
    pub user: String,
    /// Its token or secret.
    pub secret: String,
}

/// A running `sidetone dev` or `sidetone serve`; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    ready: Value,
    client: reqwest::Client,
    data: PathBuf,
    /// The folder, where it is the server's own and goes with it.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts a server with a new folder and free ports.
    pub async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(folder.path(), flags).await;
        server._folder = Some(folder);
        server
    }

    /// Starts a server and a customer's program, which it asks at `/voice` what to do with calls.
    pub async fn with_origin() -> (Self, Origin) {
        let origin = Origin::start().await;
        let server = Self::start(&["--voice-url", &origin.url("/voice")]).await;
        (server, origin)
    }

    /// Starts a server that trusts the authorities in a file, and no others.
    pub async fn start_trusting(authorities: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.env("SSL_CERT_FILE", authorities);
        let mut server = Self::run(command, folder.path(), &[]).await;
        server._folder = Some(folder);
        server
    }

    /// Starts a server on a folder that stays.
    pub async fn start_in(data: &Path, flags: &[&str]) -> Self {
        Self::run(Command::new(binary()), data, flags).await
    }

    /// Starts a server for production with these settings in a file, a new folder and free ports.
    pub async fn serve(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::serve_in(folder.path(), settings).await;
        server._folder = Some(folder);
        server
    }

    /// The same, on a folder that stays.
    ///
    /// Its log, of the level `info`, is what [`Self::log`] returns.
    pub async fn serve_in(data: &Path, settings: &str) -> Self {
        let file = data.join(SETTINGS);
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(file);
        Self::run(command, data, &["--log", "info"]).await
    }

    /// Returns the file with the settings of a server for production.
    pub fn settings(&self) -> PathBuf {
        self.data.join(SETTINGS)
    }

    /// Sends the process a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let (flag, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([&flag, &pid]).status().unwrap().success());
    }

    async fn run(mut command: Command, data: &Path, flags: &[&str]) -> Self {
        let file = data.join("ready-for-test.json");
        let _ = std::fs::remove_file(&file);
        if command.get_args().next().is_none() {
            command.arg("dev");
        }
        let mut child = command
            .args(["--http", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--ready-file")
            .arg(&file)
            .args(if flags.contains(&"--sip") { &[][..] } else { &["--sip", "127.0.0.1:0"] })
            .args(flags)
            .stdout(Stdio::from(std::fs::File::create(data.join(BANNER)).unwrap()))
            .stderr(if flags.contains(&"--log") {
                Stdio::from(std::fs::File::create(data.join(LOG)).unwrap())
            } else {
                Stdio::inherit()
            })
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        let ready = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break serde_json::from_str(&text).unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended before it was ready: {status}");
            }
            assert!(Instant::now() < until, "the server is not ready after 60 s");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        judge::learn(&ready, "account_sid", "auth_token");
        Self { child, ready, client: reqwest::Client::new(), data: data.to_owned(), _folder: None }
    }

    /// Returns a field of the ready file.
    pub fn ready(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap_or_default()
    }

    /// Returns the folder with the database.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns what it said on its terminal.
    pub fn banner(&self) -> String {
        std::fs::read_to_string(self.data.join(BANNER)).unwrap_or_default()
    }

    /// Returns what was logged so far; nothing without the flag `--log`.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.join(LOG)).unwrap_or_default()
    }

    /// Returns the process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns where SIP listens.
    pub fn sip(&self) -> SocketAddr {
        self.ready("sip_uri").trim_start_matches("sip:").parse().unwrap()
    }

    /// Asks for a path below the account, such as `/Conferences.json`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.account_url(path))).await
    }

    /// Posts a form to a path below the account.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.client.post(self.account_url(path));
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header("content-type", kind).body(encoded(form))).await
    }

    /// Deletes a path below the account.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.client.delete(self.account_url(path))).await
    }

    /// Asks for a path from the root of the API.
    pub async fn get_from_root(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.ready("api_url")))).await
    }

    /// Asks for a path from the root of the API in somebody's name; `form` is for a POST.
    pub async fn ask_as(
        &self,
        login: &Login,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}{path}", self.ready("api_url"));
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method.clone(), url);
        let request = request.basic_auth(&login.user, Some(&login.secret));
        let kind = "application/x-www-form-urlencoded";
        let request = match method {
            reqwest::Method::POST => request.header("content-type", kind).body(encoded(form)),
            _ => request,
        };
        self.answered(request).await
    }

    /// Begins an authenticated request for a path from the root of the API.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.ready("api_url"));
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, url);
        request.basic_auth(self.ready("account_sid"), Some(self.ready("auth_token")))
    }

    /// Asks the address of health and metrics for text.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.ready("admin_url"));
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the process to end and returns how it did, and after how long.
    pub fn terminate(&mut self) -> (std::process::ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (status, asked.elapsed())
    }

    /// Waits for the process to end by itself; returns whether it succeeded, and how long that took.
    pub fn wait_end(&mut self, limit: Duration) -> Option<(bool, Duration)> {
        let asked = Instant::now();
        while asked.elapsed() < limit {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some((status.success(), asked.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    fn account_url(&self, path: &str) -> String {
        let (api, account) = (self.ready("api_url"), self.ready("account_sid"));
        format!("{api}/2010-04-01/Accounts/{account}{path}")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let login = (self.ready("account_sid"), self.ready("auth_token"));
        self.answered(request.basic_auth(login.0, Some(login.1))).await
    }

    /// Asks, and holds the answer to Twilio's description where that is there.
    async fn answered(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = self.client.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        if let Some(openapi) = OpenApi::found() {
            let faults = openapi.judge(&method, &path, status, &kind, &body);
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
        judge::learn(&body, "sid", "auth_token");
        Answer { status, body }
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        judge::adjourn();
    }
}

/// Builds the binary, once, and returns where it is.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--workspace", "--bin", "sidetone"])
            .args(if cfg!(feature = "mp3-lame") {
                &["--features", "sidetone/mp3-lame"][..]
            } else {
                &[]
            })
            .current_dir(root)
            .status()
            .unwrap();
        assert!(built.success(), "the binary does not build");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        target.join("debug/sidetone")
    })
}
