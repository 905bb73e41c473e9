//! The command line: run, reload, check, doctor, explain, incidents, import, demo.
//!
//! Exit codes are those of sysexits.h: 64 usage, 65 what is imported is in no known syntax, 66 no
//! file to read, 69 cannot listen, 71 the system gives no thread, 73 cannot write a file, 77 not
//! permitted, 78 configuration; and 1 for an import that left something out, or a doctor that
//! warns.
//! Everything that is decided is decided in the rooms.

mod catalog;
mod check;
mod completions;
mod doctor;
mod explain;
mod generate;
mod import;
mod incidents;
mod line;
mod manual;
mod messages;
mod reload;
mod run;
mod signals;
mod trace;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, AccessLog, Level, LoadError, Log};
use crate::demo::{self, Ports};
use crate::server::{self, Running, StartError};

use signals::{Heard, Signals};
use trace::trace;

/// An import left something out.
const INCOMPLETE: u8 = 1;
/// The doctor found nothing worse than warnings.
const WARNED: u8 = 1;
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOINPUT: u8 = 66;
const EX_UNAVAILABLE: u8 = 69;
const EX_OSERR: u8 = 71;
const EX_CANTCREAT: u8 = 73;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

/// A reverse proxy that says why: it forwards, and names the cause of every failure.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward.
    Run(ConfigArgument),
    /// Have the running service read its configuration anew, and tell what became of it: exit
    /// status 0, or that of a start with it.
    Reload,
    /// Show all problems of a configuration at once; exit status 0 or 78.
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        /// Print the problems as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask every server of every upstream, look at this host, and tell what is wrong, with causes
    /// and fixes; exit status 0, 1 for warnings, 69 for failures, 78 for a wrong configuration.
    Doctor {
        #[command(flatten)]
        config: ConfigArgument,
        /// Print every check as JSON.
        #[arg(long)]
        json: bool,
        /// The language of what is told: en, ru, zh or vi; by default that of the environment.
        #[arg(long, value_name = "TAG")]
        language: Option<String>,
        /// Ask the servers of this upstream alone.
        upstream: Option<String>,
    },
    /// Explain a cause: meaning, how it is recognised, fixes, sources. Or a root, which lies behind
    /// causes on a host. Or a line of an error log of nginx, Apache or PHP-FPM: what it means, and
    /// what to do. Without CAUSE, list all causes and roots.
    Explain {
        /// The name of a cause or a root, as in the page, the log and Proxy-Status; or a line of a
        /// log, in quotes; or `-`: lines from the standard input.
        cause: Option<String>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the incidents that the service on this host has kept, or show one. Takes no
    /// configuration: they lie in systemd's $STATE_DIRECTORY, by default in /var/lib/causeway.
    Incidents {
        /// The id of an incident, or of any of its requests, as on the page and in the log.
        id: Option<String>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Turn another program's configuration into ours.
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// Start backends that fail in every way, the proxy before them, and an index page.
    Demo,
    /// Write the files of a package that are made from the program's definitions.
    #[command(hide = true)]
    Generate {
        /// The folder to write them to.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ImportFrom {
    /// nginx's, a whole one or the file of a site; exit status 1 if something was not carried over.
    Nginx {
        /// E.g. /etc/nginx/nginx.conf or /etc/nginx/sites-available/shop.
        file: PathBuf,
        /// Where to write the configuration; by default to the standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value_os_t = config::default_path().to_owned())]
    config: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { EX_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let code = perform(arguments.command);
    messages::flush();
    code
}

fn perform(command: Command) -> ExitCode {
    match command {
        Command::Run(argument) => run::run(&argument.config),
        Command::Reload => reload::reload(),
        Command::Check { config, json } => check::check(&config.config, json),
        Command::Doctor { config, json, language, upstream } => {
            doctor::doctor(&config.config, &doctor::Wanted { json, language, upstream })
        }
        Command::Explain { cause: None, json } => explain::list(json),
        Command::Explain { cause: Some(name), json } => explain::explain(&name, json),
        Command::Incidents { id, json } => incidents::incidents(id.as_deref(), json),
        Command::Import { from: ImportFrom::Nginx { file, output } } => {
            import::nginx(&file, output.as_deref())
        }
        Command::Demo => demonstrate(),
        Command::Generate { folder } => generate::generate(&folder),
    }
}

/// The definition of the command line.
fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the demonstration until a signal ends it.
fn demonstrate() -> ExitCode {
    trace(Level::Warn);
    let log = Log { access: AccessLog::Off, ..Log::default() };
    let options = demo::Options { ports: Ports::From(demo::FIRST_PORT), log };
    let mut rig = match demo::rig(options) {
        Ok(rig) => rig,
        Err(error) => return not_started(&StartError::Thread(error)),
    };
    let configs = std::mem::take(&mut rig.configs);
    let mut running: Vec<Running> = Vec::with_capacity(configs.len());
    for (_, config) in configs {
        match server::start(config) {
            Ok(one) => running.push(one),
            Err(error) => return not_started(&error),
        }
    }
    say(&format!("The demonstration is at http://127.0.0.1:{}/\n", demo::FIRST_PORT));
    say("Each failure is linked there as a visitor and as an operator sees it. Ctrl-C ends it.\n");
    wait_for_end();
    running.into_iter().for_each(Running::abort);
    ExitCode::SUCCESS
}

/// Waits for a signal that ends the program; the demonstration has nothing to reload.
fn wait_for_end() {
    let Ok(mut signals) = Signals::new() else { return };
    while matches!(signals.next(), Heard::Reload(_) | Heard::Reopen) {}
}

fn say(text: &str) {
    // A reader that has had enough (`| head`) is no failure of ours.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn refused(error: &LoadError) -> ExitCode {
    let _ = write!(io::stderr(), "{}", ensure_newline(chain(error)));
    code_of_load(error).into()
}

fn code_of_load(error: &LoadError) -> u8 {
    match error {
        LoadError::Unreadable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            EX_NOPERM
        }
        LoadError::Unreadable { .. } => EX_NOINPUT,
        LoadError::Problems(_) => EX_CONFIG,
    }
}

fn not_started(error: &StartError) -> ExitCode {
    let _ = write!(io::stderr(), "causeway: {}", ensure_newline(chain(error)));
    code_of_start(error).into()
}

fn code_of_start(error: &StartError) -> u8 {
    let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
    match error {
        StartError::Bind { source, .. } | StartError::AccessLog(source) if denied(source) => {
            EX_NOPERM
        }
        StartError::Bind { .. } | StartError::AccessLog(_) => EX_UNAVAILABLE,
        #[cfg(feature = "acme")]
        StartError::AcmeState { source, .. } if denied(source) => EX_NOPERM,
        #[cfg(feature = "acme")]
        StartError::AcmeState { .. } => EX_UNAVAILABLE,
        StartError::Thread(_) | StartError::Tls(_) | StartError::Passed { .. } => EX_OSERR,
        StartError::NotPassed { .. } | StartError::NotListening { .. } => EX_CONFIG,
        StartError::Workers { .. } | StartError::Pages(_) | StartError::Certificate(_) => EX_CONFIG,
    }
}

/// An error with its causes, one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

fn ensure_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
