//! `merit provider pause|resume|price`: requests to a provider that runs on this machine, by a socket of its user.
//!
//! A request is one line, its answer is one line: `ok TEXT` or `error TEXT`. Nothing is kept: a provider that starts
//! again sells as its flags say.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use merit_agent::{Controls, LockedControls, Strategy};
use merit_terms::{Name, Price};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::output::{OutputArgument, print_json, say};
use crate::user_dirs;

/// Longest line in bytes.
const LINE_MAX_BYTES: u64 = 256;
/// Timeout of the line of a request.
const LINE_WITHIN: Duration = Duration::from_secs(1);
/// Maximum number of requests at once.
const REQUESTS_MAX: usize = 16;
/// Timeout of the change before it.
const TURN_WITHIN: Duration = Duration::from_secs(2);
/// Timeout of the answer: longer than the line, the turn, and the 5 s in which the exchange answers new quotes.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Subcommand)]
pub(super) enum Control {
    /// Cancel the offers of a running provider of this machine and user; calls that run are served
    Pause(Target),
    /// Let it sell again
    Resume(Target),
    /// Change its price, without a restart
    Price {
        #[command(flatten)]
        target: Target,
        /// USD per GB-s; the floor of the utilisation strategy
        #[arg(long)]
        per_gb_second: Price,
        /// USD per GB-s when the pool is nearly full, for the utilisation strategy [default: unchanged]
        #[arg(long)]
        ceiling: Option<Price>,
    },
}

#[derive(clap::Args)]
pub(super) struct Target {
    name: Name,
    #[command(flatten)]
    format: OutputArgument,
}

/// Returns the socket of a provider of this user.
fn socket(name: &Name) -> anyhow::Result<PathBuf> {
    let dir = user_dirs::runtime().context("none of XDG_RUNTIME_DIR, XDG_STATE_HOME and HOME is set")?;
    Ok(dir.join(format!("provider-{name}.socket")))
}

/// Sends a request, and prints its answer.
pub(super) async fn request(control: &Control) -> anyhow::Result<()> {
    let (target, line) = match control {
        Control::Pause(target) => (target, "pause".to_owned()),
        Control::Resume(target) => (target, "resume".to_owned()),
        Control::Price { target, per_gb_second, ceiling } => {
            let ceiling = ceiling.map(|ceiling| format!(" {ceiling}")).unwrap_or_default();
            (target, format!("price {per_gb_second}{ceiling}"))
        }
    };
    let name = &target.name;
    let not_there = || format!("no provider `{name}` of this user runs on this machine; `merit provider` starts one");
    let stream = UnixStream::connect(socket(name)?).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(not_there()),
        _ => anyhow!("the provider `{name}` cannot be asked: {error}"),
    })?;
    let asked = async {
        let (reads, mut writes) = stream.into_split();
        writes.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(reads).read_line(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await.context("the provider does not answer")??;
    match answer.trim_end().split_once(' ') {
        Some(("ok", text)) => {
            match target.format.is_json() {
                true => print_json(&json!({"provider": name, "done": text})),
                false => say(text),
            }
            Ok(())
        }
        Some(("error", text)) => bail!("{text}"),
        _ => bail!("the provider ended"),
    }
}

/// The socket of this provider; removed when it is dropped.
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl ControlSocket {
    /// Opens the socket. Refuses if another provider of this name listens there.
    pub(super) async fn open(name: &Name) -> anyhow::Result<ControlSocket> {
        let path = socket(name)?;
        let dir = path.parent().context("the socket has no folder")?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
        if UnixStream::connect(&path).await.is_ok() {
            bail!("another provider `{name}` of this user runs on this machine");
        }
        // Removes the socket of a killed provider; never another kind of file.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            drop(std::fs::remove_file(&path));
        }
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(ControlSocket { path, listener })
    }

    /// Answers requests; never returns. Drops one that is late or whose sender has left.
    pub(super) async fn serve(&self, controls: &Controls) {
        let mut answering = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if answering.len() < REQUESTS_MAX => {
                        let controls = controls.clone();
                        answering.spawn(async move { answer(stream, &controls).await });
                    }
                    Ok((stream, _)) => drop(stream.try_write(b"error too many requests at once; try again\n")),
                    Err(error) => {
                        tracing::warn!(%error, "a request to this provider could not be taken");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
                Some(_) = answering.join_next() => {}
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

async fn answer(mut stream: UnixStream, controls: &Controls) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(LINE_MAX_BYTES));
    let is_read = tokio::time::timeout(LINE_WITHIN, reader.read_line(&mut line)).await;
    if !matches!(is_read, Ok(Ok(_))) || !line.ends_with('\n') {
        return stream.write_all(b"error a request is one line\n").await;
    }
    let Ok(locked) = tokio::time::timeout(TURN_WITHIN, controls.lock()).await else {
        return stream.write_all(b"error another change is being made; try again\n").await;
    };
    // The sender may have given up while the request waited.
    if matches!(stream.try_read(&mut [0]), Ok(0)) {
        return Ok(());
    }
    let answer = match obey(line.trim_end(), controls, locked).await {
        Ok(done) => format!("ok {done}\n"),
        Err(error) => format!("error {error:#}\n"),
    };
    stream.write_all(answer.as_bytes()).await
}

/// Makes the change that a line asks for. Returns what was done.
async fn obey(line: &str, controls: &Controls, mut locked: LockedControls<'_>) -> anyhow::Result<String> {
    let name = &controls.settings().name;
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["pause"] => {
            locked.pause().await?;
            Ok(format!("{name} sells nothing until `merit provider resume {name}`"))
        }
        ["resume"] => {
            locked.resume().await.context("it is resumed")?;
            Ok(format!("{name} sells again"))
        }
        ["price", per_gb_second, rest @ ..] => {
            let ceiling = rest.first().map(|ceiling| ceiling.parse()).transpose()?;
            let price = per_gb_second.parse()?;
            let strategy = locked.reprice(|strategy| repriced(strategy, price, ceiling)).await;
            let strategy = strategy.context("the price stays as it was")?;
            let how = if controls.is_paused() { "will sell, once it resumes," } else { "sells" };
            Ok(format!("{name} {how} at {}", description(strategy)))
        }
        _ => bail!("the request `{line}` is not known; pause, resume or price"),
    }
}

/// Returns the strategy with another price.
fn repriced(strategy: Strategy, per_gb_second: Price, ceiling: Option<Price>) -> anyhow::Result<Strategy> {
    match (strategy, ceiling) {
        (Strategy::Fixed { .. }, Some(_)) => bail!("--ceiling is for a provider with --strategy utilisation"),
        (Strategy::Fixed { mut tariff }, None) => {
            tariff.per_gb_second = per_gb_second;
            Ok(Strategy::Fixed { tariff })
        }
        (Strategy::Utilisation { mut tariff, ceiling: before, rungs }, ceiling) => {
            tariff.per_gb_second = per_gb_second;
            Ok(Strategy::Utilisation { tariff, ceiling: ceiling.unwrap_or(before), rungs })
        }
    }
}

fn description(strategy: Strategy) -> String {
    match strategy {
        Strategy::Fixed { tariff } => format!("{} USD per GB-s", tariff.per_gb_second),
        Strategy::Utilisation { tariff, ceiling, .. } => {
            format!("{} USD per GB-s, rising to {ceiling} as it fills", tariff.per_gb_second)
        }
    }
}
