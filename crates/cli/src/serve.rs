//! `sidetone serve`: the server for production, strict by default.

use std::path::PathBuf;

use api::Tls;
use node::{Handle, Node};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Flags};
use crate::logging::{self, Log};
use crate::server;
use crate::settings::Settings;
use crate::tls::Files;

/// Flags of `sidetone serve`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file with the settings; flags and the environment go before it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Flags,
}

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// One line for each thing that is in the way.
pub async fn run(mut arguments: Arguments, log: logging::Flags) -> Result<(), String> {
    let (filter, format) = log.given();
    arguments.settings.add("log", filter);
    arguments.settings.add("log_format", format);
    let config = arguments.load()?;
    let mut settings = Settings::of(&config)?;
    let text = |name| config.values.text(name).unwrap_or_default();
    let log = logging::start(text("log"), text("log_format"))?;
    let tls = settings.tls.as_ref().map(Files::read).transpose()?.map(Tls::new);
    server::outlive_full_files()?;
    let http = server::listen(config.values.address("http"), "--http").await?;
    let admin = server::listen(config.values.address("admin"), "--admin").await?;
    if settings.node.api_url.is_empty() {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        settings.node.api_url = format!("{scheme}://{}", server::address(&http)?);
    }
    let end = server::told_to_end();
    tokio::pin!(end);
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let node = Node::start(settings.node.clone()).await.map_err(|error| error.to_string())?;
    let (ports, guard) = (settings.node.rtp_ports, settings.node.guard);
    let ready = server::ready(&node, server::address(&admin)?, ports, guard);
    server::serve(&node, (http, admin), None, tls.clone());
    server::write_ready(&ready, &settings.node.data, settings.ready_file.as_deref())?;
    let (api_url, sip) = (node.api_url(), node.sip());
    tracing::info!(api_url, %sip, opus = node::OPUS, "everything listens");
    let mut running = Running { arguments, config, settings, node, log, tls };
    loop {
        tokio::select! {
            told = &mut end => break told?,
            Some(()) = hang_up.recv() => running.reload().await,
        }
    }
    tokio::select! {
        () = running.stop() => Ok(()),
        second = server::told_to_end() => second,
    }
}

impl Arguments {
    fn load(&self) -> Result<Config, String> {
        Config::load(self.config.as_deref(), std::env::vars(), &self.settings)
    }
}

/// A server that runs, and what it was last told.
struct Running {
    arguments: Arguments,
    config: Config,
    settings: Settings,
    node: Handle,
    log: Log,
    tls: Option<Tls>,
}

impl Running {
    /// Reads the settings again and takes those that can be taken while calls are up.
    async fn reload(&mut self) {
        let read = self.arguments.load().and_then(|config| {
            let settings = Settings::of(&config)?;
            Ok((config, settings))
        });
        let (config, settings) = match read {
            Ok(read) => read,
            Err(faults) => {
                for fault in faults.lines() {
                    tracing::error!(fault, "the settings are not taken; those of before hold");
                }
                return;
            }
        };
        let restart = self.config.wants_restart(&config);
        if !restart.is_empty() {
            let settings = restart.join(", ");
            tracing::warn!(settings, "these have changed and are taken at the next start");
        }
        if let Err(told) = self.log.set(config.values.text("log").unwrap_or_default()) {
            tracing::error!(told, "the log stays as it was");
        }
        if let (Some(tls), Some(files)) = (&self.tls, &settings.tls) {
            match files.read() {
                Ok(config) => tls.set(config),
                Err(told) => tracing::error!(told, "the certificate stays as it was"),
            }
        }
        let shown = self.settings.node.sip_tls.as_ref().map(|tls| &tls.server);
        if let (Some(shown), Some(files)) = (shown, &settings.sip_tls) {
            match files.read_for_sip() {
                Ok(config) => shown.set(config),
                Err(told) => tracing::error!(told, "the certificate for SIP stays as it was"),
            }
        }
        self.node.set_limits(&settings.node.limits).await;
        self.node.set_retention(settings.node.retention.clone());
        if settings.node.trunks != self.settings.node.trunks {
            self.node.set_trunks(settings.node.trunks.clone()).await;
        }
        self.settings.node.trunks = settings.node.trunks;
        self.settings.drain_limit = settings.drain_limit;
        // What wants a restart is compared with what the server started with.
        self.config.take_reloaded(&config);
        tracing::info!("the settings were read again");
    }

    /// Lets the calls come to their end, then hangs up.
    async fn stop(&self) {
        let limit = self.settings.drain_limit;
        tracing::info!(limit_s = limit.as_secs(), "no call begins any more");
        self.node.drain(limit).await;
        self.node.stop().await;
    }
}
