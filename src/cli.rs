//! The command line: run, check, explain, demo.
//!
//! Exit codes are those of sysexits.h: 64 usage, 66 no configuration file, 69 cannot listen, 70 our
//! own fault, 77 not permitted, 78 configuration. Everything that is decided is decided in the
//! rooms.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, AccessLog, Config, Level, LoadError, Log};
use crate::demo::{self, Ports};
use crate::diagnose::{self, Audience, Code, Languages, Partial, Step};
use crate::server::{self, Running, StartError};

const EX_USAGE: u8 = 64;
const EX_NOINPUT: u8 = 66;
const EX_UNAVAILABLE: u8 = 69;
const EX_OSERR: u8 = 71;
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
    /// Show all problems of a configuration at once; exit status 0 or 78.
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        /// Print the problems as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Explain a cause: meaning, how it is recognised, fixes, sources. Without CAUSE, list them
    /// all.
    Explain {
        /// The name of a cause, as in the page, the log and Proxy-Status.
        cause: Option<String>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start backends that fail in every way, the proxy before them, and an index page.
    Demo,
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
    match arguments.command {
        Command::Run(argument) => run(&argument.config),
        Command::Check { config, json } => check(&config.config, json),
        Command::Explain { cause: None, json } => list(json),
        Command::Explain { cause: Some(name), json } => explain(&name, json),
        Command::Demo => demonstrate(),
    }
}

fn run(path: &Path) -> ExitCode {
    let config = match config::load(path, server::prove) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    trace(config.log.level);
    let running = match server::start(config) {
        Ok(running) => running,
        Err(error) => return not_started(&error),
    };
    for address in running.addresses() {
        tracing::info!("listening on {address}");
    }
    attend(running, path)
}

/// Messages of the program itself, on stderr.
fn trace(level: Level) {
    let level = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    // Other crates' news is not the operator's; what they warn of is.
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,causeway={level}"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(io::stderr)
        .try_init();
}

/// Serves until a signal ends it: HUP reloads, USR1 reopens the log, TERM and QUIT drain, INT ends.
fn attend(mut running: Running, path: &Path) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return not_started(&StartError::Thread(error)),
    };
    loop {
        match signals.next() {
            Heard::Reload => reload(&mut running, path),
            Heard::Reopen => running.reopen_logs(),
            Heard::Drain => {
                tracing::info!("draining");
                running.stop();
                return ExitCode::SUCCESS;
            }
            Heard::End => {
                running.abort();
                return ExitCode::SUCCESS;
            }
        }
    }
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
    while matches!(signals.next(), Heard::Reload | Heard::Reopen) {}
}

/// The signals that mean something to us.
struct Signals {
    runtime: tokio::runtime::Runtime,
    /// HUP, USR1, TERM, QUIT, INT.
    streams: [Signal; 5],
}

enum Heard {
    Reload,
    Reopen,
    Drain,
    End,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let streams = {
            let _entered = runtime.enter();
            [
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::interrupt())?,
            ]
        };
        Ok(Signals { runtime, streams })
    }

    fn next(&mut self) -> Heard {
        let [hangup, reopen, terminate, quit, interrupt] = &mut self.streams;
        self.runtime.block_on(async {
            tokio::select! {
                _ = hangup.recv() => Heard::Reload,
                _ = reopen.recv() => Heard::Reopen,
                _ = terminate.recv() => Heard::Drain,
                _ = quit.recv() => Heard::Drain,
                _ = interrupt.recv() => Heard::End,
            }
        })
    }
}

/// Everything is read, proven and bound before anything changes; any error leaves what runs as it
/// is.
fn reload(running: &mut Running, path: &Path) {
    let config = match config::load(path, server::prove) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("the old configuration stays in force:\n{}", chain(&error));
            return;
        }
    };
    match running.reload(config) {
        Ok(()) => {
            tracing::info!("reloaded {}", path.display());
            for address in running.addresses() {
                tracing::info!("listening on {address}");
            }
        }
        Err(error) => tracing::error!("the old configuration stays in force: {}", chain(&error)),
    }
}

fn check(path: &Path, json: bool) -> ExitCode {
    match (config::load(path, server::prove), json) {
        (Ok(config), false) => say(&summary(path, &config)),
        (Ok(_), true) => say("{\"problems\":[]}\n"),
        (Err(LoadError::Problems(problems)), true) => {
            say(&format!("{}\n", json!({ "problems": problems.rows() })));
            return EX_CONFIG.into();
        }
        (Err(error), _) => return refused(&error),
    }
    ExitCode::SUCCESS
}

fn summary(path: &Path, config: &Config) -> String {
    let upstreams = match config.upstreams.len() {
        1 => "1 upstream".to_owned(),
        count => format!("{count} upstreams"),
    };
    let mut text = format!("{}: no problems; {upstreams}\n", path.display());
    let languages = Languages::of(&config.page).unwrap_or_default();
    for Partial { language, base, missing } in languages.partial() {
        text.push_str(&format!("note: {missing} words of `{language}` are those of `{base}`\n"));
    }
    text
}

fn list(json: bool) -> ExitCode {
    let words = diagnose::english();
    if json {
        let rows: Vec<_> = Code::all().map(cause_json).collect();
        say(&format!("{}\n", json!({ "causes": rows })));
        return ExitCode::SUCCESS;
    }
    let width = Code::all().map(|code| code.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for code in Code::all() {
        text.push_str(&format!("{:width$}  {}\n", code.name(), words.cause(code).title));
    }
    say(&text);
    ExitCode::SUCCESS
}

fn explain(name: &str, json: bool) -> ExitCode {
    let Ok(code) = name.parse::<Code>() else {
        let mut message = format!("causeway: no cause is called `{name}`\n");
        let names = Code::all().map(Code::name);
        if let Some(near) = config::nearest(name, names) {
            message.push_str(&format!("did you mean `{near}`?\n"));
        }
        message.push_str("`causeway explain` lists them all\n");
        let _ = io::stderr().write_all(message.as_bytes());
        return EX_USAGE.into();
    };
    match json {
        true => say(&format!("{}\n", cause_json(code))),
        false => say(&explanation(code)),
    }
    ExitCode::SUCCESS
}

fn explanation(code: Code) -> String {
    let words = diagnose::english();
    let cause = words.cause(code);
    let entry = diagnose::entry(code);
    let phase: &str = entry.phase.into();
    let mut text = format!("{}\n\n{}\n\n", code.name(), cause.title);
    text.push_str(&format!("For visitors:  {}\n\n", cause.visitor));
    text.push_str(&format!("What it means: {}\n\n", cause.operator));
    text.push_str(&format!("How Causeway knows: {}\n\n", cause.recognised));
    text.push_str(&match diagnose::is_received(code) {
        true => {
            format!("The upstream's own status, stage `{phase}`, Proxy-Status received-status\n")
        }
        false => format!(
            "Status {}, stage `{phase}`, Proxy-Status error {}\n",
            entry.status, entry.proxy_error
        ),
    });
    text.push_str("\nWhat usually lies behind it:\n");
    for id in diagnose::reasons(code) {
        let reason = words.reason(*id);
        text.push_str(&format!("  {} ({}): {}\n", reason.title, id.name(), reason.text));
    }
    for (audience, heading) in [
        (Audience::Visitor, "What a visitor can do"),
        (Audience::Operator, "What the operator can do"),
    ] {
        text.push_str(&format!("\n{heading}:\n"));
        for fix in diagnose::fix_ids(code).filter(|fix| fix.audience() == audience) {
            let fix_words = words.fix(fix);
            text.push_str(&format!("  {} ({})\n", fix_words.title, fix.name()));
            text.push_str(&format!("    {}\n", fix_words.why));
            for step in &fix_words.steps {
                text.push_str(&format!("    - {}\n", step.for_any()));
            }
            if let Some(check) = &fix_words.check {
                text.push_str(&format!("    {}: {check}\n", words.page.check));
            }
        }
    }
    text.push_str("\nTo see it happen, run `causeway demo` and open:\n");
    for row in rows(code) {
        text.push_str(&format!("  {}: {}\n", row.name, row.what));
    }
    text.push_str(&format!("\nSources: {}\n", diagnose::cause_sources(code).join(", ")));
    text
}

/// The rows of the demonstration that bring a cause about.
fn rows(code: Code) -> impl Iterator<Item = &'static demo::Scenario> {
    demo::scenarios().filter(move |row| row.code == code)
}

fn cause_json(code: Code) -> serde_json::Value {
    let words = diagnose::english();
    let cause = words.cause(code);
    let entry = diagnose::entry(code);
    let (phase, blame): (&str, &str) = (entry.phase.into(), entry.blame.into());
    let of_our_own = !diagnose::is_received(code);
    let row = |row: &demo::Scenario| json!({"row": row.name, "what": row.what});
    let reproduce: Vec<_> = rows(code).map(row).collect();
    let (status, error) = of_our_own.then_some((entry.status, entry.proxy_error)).unzip();
    let fixes: Vec<_> = diagnose::fix_ids(code)
        .map(|fix| {
            let audience: &str = fix.audience().into();
            let text = words.fix(fix);
            let steps: Vec<_> = text.steps.iter().map(Step::for_any).collect();
            json!({
                "id": fix.name(), "audience": audience, "title": text.title, "why": text.why,
                "steps": steps, "check": text.check,
                "sources": diagnose::fix_sources(fix),
            })
        })
        .collect();
    let reasons: Vec<_> = diagnose::reasons(code)
        .iter()
        .map(|id| {
            let reason = words.reason(*id);
            json!({
                "id": id.name(), "title": reason.title, "text": reason.text,
                "sources": diagnose::reason_sources(*id),
            })
        })
        .collect();
    json!({
        "cause": code.name(), "title": cause.title, "visitor": cause.visitor,
        "operator": cause.operator, "recognised": cause.recognised,
        "reproduce": reproduce,
        "sources": diagnose::cause_sources(code),
        "phase": phase, "blame": blame, "status": status, "proxy_status_error": error,
        "reasons": reasons, "fixes": fixes,
    })
}

fn say(text: &str) {
    // A reader that has had enough (`| head`) is no failure of ours.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn refused(error: &LoadError) -> ExitCode {
    let code = match error {
        LoadError::Unreadable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            EX_NOPERM
        }
        LoadError::Unreadable { .. } => EX_NOINPUT,
        LoadError::Problems(_) => EX_CONFIG,
    };
    let _ = write!(io::stderr(), "{}", ensure_newline(chain(error)));
    code.into()
}

fn not_started(error: &StartError) -> ExitCode {
    let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
    let code = match error {
        StartError::Bind { source, .. } | StartError::AccessLog(source) if denied(source) => {
            EX_NOPERM
        }
        StartError::Bind { .. } | StartError::AccessLog(_) => EX_UNAVAILABLE,
        StartError::Thread(_) => EX_OSERR,
        StartError::Workers { .. } | StartError::Pages(_) => EX_CONFIG,
    };
    let _ = write!(io::stderr(), "causeway: {}", ensure_newline(chain(error)));
    code.into()
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
