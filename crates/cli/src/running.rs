//! How a client sub-command finds the running server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use node::Guard;
use serde_json::Value;

/// Where the running server is, and the credentials for it.
#[derive(Debug)]
pub struct Running {
    /// The address of the API, without a path.
    pub api_url: String,
    /// The account.
    pub account_sid: String,
    /// Its token.
    pub auth_token: String,
    /// Where SIP listens, as a URI; known from a data folder alone, like what follows.
    pub sip: Option<String>,
    /// Where SIP over TLS listens, as a URI.
    pub sips: Option<String>,
    /// The address of health and metrics.
    pub admin_url: Option<String>,
    /// The server's process.
    pub pid: Option<u32>,
    /// The server's data folder.
    pub data: Option<PathBuf>,
    /// Its ports for sound: `20000-29999`.
    pub rtp_ports: Option<String>,
    /// What it may reach.
    pub guard: Option<Guard>,
}

/// The variables that name a server when no folder does.
pub const VARIABLES: [&str; 3] =
    ["SIDETONE_API_URL", "SIDETONE_ACCOUNT_SID", "SIDETONE_AUTH_TOKEN"];
/// The folder of `sidetone dev` when it is not told another.
pub const DEFAULT_DATA: &str = "sidetone-data";

impl Running {
    /// Reads what the server wrote into its data folder; without a folder, the environment.
    ///
    /// # Errors
    /// One line that names what to start or set.
    pub fn find(data: Option<&Path>) -> Result<Self, String> {
        if data.is_none()
            && let [Ok(api_url), Ok(account_sid), Ok(auth_token)] = VARIABLES.map(std::env::var)
        {
            // What the folder here tells beside that holds where it is of the same server.
            let near = Self::read(Path::new(DEFAULT_DATA)).ok();
            let same = |near: &Self| near.api_url == api_url && near.account_sid == account_sid;
            if let Some(near) = near.filter(same) {
                return Ok(Self { auth_token, ..near });
            }
            return Ok(Self {
                api_url,
                account_sid,
                auth_token,
                sip: None,
                sips: None,
                admin_url: None,
                pid: None,
                data: None,
                rtp_ports: None,
                guard: None,
            });
        }
        Self::read(data.unwrap_or(Path::new(DEFAULT_DATA)))
    }

    fn read(data: &Path) -> Result<Self, String> {
        let file = data.join("ready.json");
        let text = std::fs::read_to_string(&file).map_err(|error| {
            format!("{}: {error}; start the server, or name its folder with --data", file.display())
        })?;
        let ready: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let of = |name: &str| {
            let value = ready[name].as_str().map(str::to_owned);
            value.ok_or_else(|| format!("{}: {name} is missing", file.display()))
        };
        Ok(Self {
            api_url: of("api_url")?,
            account_sid: of("account_sid")?,
            auth_token: of("auth_token")?,
            sip: of("sip_uri").ok(),
            sips: of("sips_uri").ok(),
            admin_url: of("admin_url").ok(),
            pid: ready["pid"].as_u64().and_then(|pid| pid.try_into().ok()),
            data: Some(data.to_owned()),
            rtp_ports: of("rtp_ports").ok(),
            guard: ready["guard"].is_object().then(|| Guard {
                loopback: ready["guard"]["loopback"] == true,
                private: ready["guard"]["private"] == true,
            }),
        })
    }

    /// Returns where SIP listens.
    pub fn sip_address(&self) -> Option<SocketAddr> {
        self.sip.as_deref()?.strip_prefix("sip:")?.parse().ok()
    }

    /// Returns where SIP over TLS listens.
    pub fn sips_address(&self) -> Option<SocketAddr> {
        self.sips.as_deref()?.strip_prefix("sips:")?.parse().ok()
    }
}
