//! The one binary, `sidetone`: the server, and what talks to a running one.

mod admin;
mod banner;
mod demo;
mod dev;
mod listen;
mod load;
mod running;
mod webhook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A self-hosted conference server that speaks Twilio's API.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs in the foreground on loopback, with a database of its own.
    Dev(dev::Arguments),
    /// Saves what one listener hears of a conference as a WAV file.
    Listen(listen::Arguments),
    /// Makes many calls with sound to a server on this machine and says what became of them.
    Load(Box<load::Arguments>),
    /// Prints the running server's address and credentials as `export` lines for a shell.
    Env(running::Arguments),
    /// Lists the callbacks of a running server, or sends them once more.
    Webhook(webhook::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads can be started: {error}")),
    };
    let result = match arguments.command {
        Command::Dev(arguments) => runtime.block_on(dev::run(arguments)),
        Command::Listen(arguments) => runtime.block_on(listen::run(arguments)),
        Command::Load(arguments) => runtime.block_on(load::run(*arguments)),
        Command::Env(arguments) => running::env(&arguments),
        Command::Webhook(arguments) => runtime.block_on(webhook::run(arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("sidetone: {message}");
    ExitCode::FAILURE
}
