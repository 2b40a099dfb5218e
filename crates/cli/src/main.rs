//! The one binary, `sidetone`: the server, and what talks to a running one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod authority;
mod backup;
mod banner;
mod call;
mod client;
mod conf;
mod config;
mod demo;
mod dev;
mod doctor;
mod env;
mod forward;
mod keys;
mod listen;
mod load;
mod logging;
mod metrics;
mod output;
mod part;
mod phone;
mod phones;
mod progress;
mod proxy;
mod rehearse;
mod running;
mod serve;
mod server;
mod settings;
mod tail;
mod times;
mod tls;
mod trigger;
mod usage;
mod webhook;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// What `--version` says, and a report of a defect should.
const VERSION: &str = if cfg!(feature = "libopus") {
    concat!(env!("CARGO_PKG_VERSION"), ", Opus by libopus")
} else {
    env!("CARGO_PKG_VERSION")
};

/// A self-hosted conference server that speaks Twilio's API.
#[derive(Debug, Parser)]
#[command(version = VERSION, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs in the foreground on loopback, with a database of its own.
    Dev(Box<dev::Arguments>),
    /// Runs in the foreground for production: strict, with the settings of a file.
    Serve(serve::Arguments),
    /// Checks and shows the settings of `serve`.
    Config(config::Arguments),
    /// Copies the database and the recordings, also of a server that runs.
    Backup(backup::Backup),
    /// Makes a data folder of such a copy.
    Restore(backup::Restore),
    /// Saves what one listener hears of a conference as a WAV file.
    Listen(listen::Arguments),
    /// Calls the running server by a phone made of software: says a file, presses keys, saves what it hears.
    Call(call::Arguments),
    /// Says what a virtual phone does when it is called, and shows what befell it.
    Phone(phone::Arguments),
    /// Makes many calls with sound to a server on this machine and says what became of them.
    Load(Box<load::Arguments>),
    /// Makes, lists and removes API keys of the running server.
    Keys(keys::Arguments),
    /// Lists, shows and ends the conferences of the running server, and plays to them.
    Conf(conf::Arguments),
    /// Lists, calls in, mutes, holds, coaches and removes those who take part.
    Part(part::Arguments),
    /// Shows what happens at the running server, as it happens.
    Tail(tail::Arguments),
    /// Says what is in the way, each with its fix.
    Doctor(doctor::Arguments),
    /// Sends a signed sample of a callback to an address.
    Trigger(trigger::Arguments),
    /// Prints what lets a shell complete commands and flags.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Prints the running server's address and credentials as `export` lines for a shell.
    Env(env::Arguments),
    /// Lets programs that know Twilio's own addresses reach the running server unchanged.
    DevProxy(proxy::Arguments),
    /// Plays scenarios: your web application against virtual phones, in virtual time.
    Rehearse(rehearse::Arguments),
    /// Lists the callbacks of a running server, or sends them once more.
    Webhook(webhook::Arguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::told(&error),
    };
    // Where a file may say how to log, it is read first.
    if !matches!(arguments.command, Command::Serve(_))
        && let Err(message) = arguments.log.clone().start()
    {
        return fail(&message);
    }
    let runtime = match runtime(&arguments.command) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads can be started: {error}")),
    };
    let result = match arguments.command {
        Command::Dev(arguments) => runtime.block_on(dev::run(*arguments)),
        Command::Serve(serve) => runtime.block_on(serve::run(serve, arguments.log)),
        Command::Config(arguments) => config::run(arguments),
        Command::Backup(arguments) => backup::backup(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Listen(arguments) => runtime.block_on(listen::run(arguments)),
        Command::Call(arguments) => call::run(&arguments),
        Command::Phone(arguments) => runtime.block_on(phone::run(arguments)),
        Command::Load(arguments) => runtime.block_on(load::run(*arguments)),
        Command::Keys(arguments) => runtime.block_on(keys::run(arguments)),
        Command::Conf(arguments) => runtime.block_on(conf::run(arguments)),
        Command::Part(arguments) => runtime.block_on(part::run(arguments)),
        Command::Tail(arguments) => runtime.block_on(tail::run(arguments)),
        Command::Doctor(arguments) => runtime.block_on(doctor::run(arguments)),
        Command::Trigger(arguments) => runtime.block_on(trigger::run(arguments)),
        Command::Completion { shell } => {
            let command = &mut Arguments::command();
            clap_complete::generate(shell, command, "sidetone", &mut std::io::stdout());
            Ok(())
        }
        Command::Env(arguments) => env::run(&arguments),
        Command::DevProxy(arguments) => runtime.block_on(proxy::run(arguments)),
        Command::Rehearse(arguments) => return runtime.block_on(rehearse::run(arguments)),
        Command::Webhook(arguments) => runtime.block_on(webhook::run(arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// Starts the threads of all tasks; those of a server come after its media threads.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if matches!(command, Command::Dev(_) | Command::Serve(_)) {
        builder.on_thread_start(node::priority::lower);
    }
    builder.enable_all().build()
}

fn fail(message: &str) -> ExitCode {
    eprintln!("sidetone: {message}");
    ExitCode::FAILURE
}
