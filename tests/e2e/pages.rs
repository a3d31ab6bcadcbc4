//! Every command of the README and of the guides, in order, as a reader types it: one shell for each page, in an empty
//! folder, with the built binary.
//!
//! A block of ```console has commands after `$ ` and the output of each. Servers run beside the shell, as in a terminal
//! of their own, until the page ends. Numbers and the names of the demo's sellers vary; `...` is any lines; a command
//! without output in the page may print anything.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::process::{PATIENCE, eventually};

/// Ports that the pages name, each replaced by a free one: the broker's and the exchange's default ports first.
const PORTS: [u16; 6] = [8080, 7070, 9000, 8081, 7071, 7072];
/// Line by which the shell says that a command has ended, before its status.
const ENDED: &str = "--ended--";

#[tokio::test]
async fn the_readme_works_as_written() {
    walk("README.md").await;
}

#[tokio::test]
async fn the_guide_to_calling_works_as_written() {
    walk("docs/calling.md").await;
}

#[tokio::test]
async fn the_guide_to_functions_works_as_written() {
    walk("docs/functions.md").await;
}

#[tokio::test]
async fn the_guide_to_selling_works_as_written() {
    walk("docs/selling.md").await;
}

#[tokio::test]
async fn the_guide_to_operating_works_as_written() {
    walk("docs/operating.md").await;
}

#[test]
fn every_page_with_commands_is_walked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]);
    let has_commands = |page: &std::path::PathBuf| {
        page.extension().is_some_and(|kind| kind == "md")
            && !commands(&std::fs::read_to_string(page).unwrap()).is_empty()
    };
    let mut with_commands: Vec<_> = pages.filter(has_commands).collect();
    with_commands.sort();
    let walked = ["README.md", "docs/calling.md", "docs/functions.md", "docs/operating.md", "docs/selling.md"];
    assert_eq!(with_commands, walked.map(|page| root.join(page)));
}

/// Runs the commands of a page in order.
async fn walk(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let mut shell = Shell::start(root).await;
    for (command, expected) in commands(&text) {
        let command = shell.ports.iter().fold(command, |command, (port, free)| {
            let command = command.replace(&format!(":{port}"), &format!(":{free}"));
            command.replace(&format!("port={port}"), &format!("port={free}"))
        });
        let output = if is_server(&command) { shell.serve(&command).await } else { shell.run(&command).await };
        if let Err(line) = compare(&expected, &output) {
            panic!("{page}: `{command}` did not print `{line}`, but:\n{}", output.join("\n"));
        }
    }
}

/// Returns the commands of a page, each with the output that the page shows.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.to_owned(), Vec::new())),
                None => commands.last_mut().unwrap().1.push(line.to_owned()),
            }
        }
    }
    commands
}

/// Returns true for a command that serves until it is stopped.
fn is_server(command: &str) -> bool {
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    match (words.next(), words.next(), words.next()) {
        (Some("merit"), Some("up" | "exchange" | "broker"), _) => true,
        (Some("merit"), Some("provider"), Some(flag)) => flag.starts_with("--"),
        (first, ..) => first == Some("npx"),
    }
}

/// Returns the first expected line that the output lacks.
fn compare(expected: &[String], output: &[String]) -> Result<(), String> {
    let mut output = output.iter().map(|line| shape(line)).filter(|line| !line.is_empty());
    let mut skips = expected.is_empty();
    for line in expected {
        if line == "..." {
            skips = true;
            continue;
        }
        let wanted = shape(line);
        let found = if skips {
            output.any(|line| is_line(&line, &wanted))
        } else {
            output.next().is_some_and(|line| is_line(&line, &wanted))
        };
        if !found {
            return Err(line.clone());
        }
        skips = false;
    }
    match output.next() {
        Some(more) if !skips => Err(format!("nothing after that, as here: {more}")),
        _ => Ok(()),
    }
}

/// Returns whether this is the line. The receipt on standard error may follow an answer that ends no line.
fn is_line(line: &str, wanted: &str) -> bool {
    line.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with("#-# at "))
}

/// Returns a line without what varies: numbers, the demo's sellers, the width of columns.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let word = if word.contains("edge-") { "SELLER" } else { word };
        let mut shape = String::new();
        for character in word.chars() {
            match character {
                '0'..='9' | '.' if shape.ends_with('#') => {}
                '0'..='9' => shape.push('#'),
                other => shape.push(other),
            }
        }
        shape
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A shell in an empty folder.
struct Shell {
    child: Child,
    types: ChildStdin,
    prints: Lines<BufReader<ChildStdout>>,
    dir: TempDir,
    /// Each port of a page, and the one that is used for it.
    ports: Vec<(u16, u16)>,
    servers: usize,
}

impl Shell {
    async fn start(root: &Path) -> Shell {
        let dir = tempfile::tempdir().unwrap();
        let mut listeners = Vec::new();
        for _ in PORTS {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let free = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
        let ports: Vec<(u16, u16)> = PORTS.into_iter().zip(free).collect();
        // As on a terminal, where it shows none.
        std::fs::write(dir.path().join(".curlrc"), "no-progress-meter\n").unwrap();
        let clients = root.join("target/clients");
        std::os::unix::fs::symlink(clients.join("js/node_modules"), dir.path().join("node_modules")).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_merit")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{}:{path}", binary.display(), clients.join("python/bin").display());
        let (http, grpc) = (format!("127.0.0.1:{}", ports[0].1), format!("127.0.0.1:{}", ports[1].1));
        let mut command = Command::new("bash");
        command.env("PATH", path).env("HOME", dir.path()).env("XDG_RUNTIME_DIR", dir.path());
        command.env("MERIT_HTTP", &http).env("MERIT_BROKER", format!("http://{http}"));
        command.env("MERIT_GRPC", &grpc).env("MERIT_EXCHANGE", format!("http://{grpc}"));
        command.current_dir(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut types = child.stdin.take().unwrap();
        types.write_all(b"exec 2>&1\n").await.unwrap();
        let prints = BufReader::new(child.stdout.take().unwrap()).lines();
        Shell { child, types, prints, dir, ports, servers: 0 }
    }

    /// Runs a command to its end. Returns its output.
    async fn run(&mut self, command: &str) -> Vec<String> {
        // `export` hides the status of a substitution.
        let command = match command.strip_prefix("export ").and_then(|set| set.split_once("=$(")) {
            Some((name, value)) => format!("{name}=$({value} && export {name}"),
            None => command.to_owned(),
        };
        // A command reads nothing of what is typed after it.
        let typed = format!("{{ {command}\n}} < /dev/null; status=$?; echo; echo {ENDED}$status\n");
        self.types.write_all(typed.as_bytes()).await.unwrap();
        let mut output = Vec::new();
        loop {
            let line = tokio::time::timeout(PATIENCE, self.prints.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("`{command}` does not end: {output:?}")).unwrap().unwrap();
            match line.strip_prefix(ENDED) {
                Some("0") => return output,
                Some(status) => panic!("`{command}` ended with {status}:\n{}", output.join("\n")),
                None => output.push(line),
            }
        }
    }

    /// Starts a server. Returns its output once it is ready.
    async fn serve(&mut self, command: &str) -> Vec<String> {
        self.servers += 1;
        let log = self.dir.path().join(format!("server-{}.log", self.servers));
        let typed = format!("{{ {command}\n}} < /dev/null > {} 2> {}.errors &\n", log.display(), log.display());
        self.types.write_all(typed.as_bytes()).await.unwrap();
        let port = command.split_once("port=").map(|(_, port)| port.parse::<u16>().unwrap());
        let printed = || std::fs::read_to_string(&log).unwrap_or_default();
        let ready = || async {
            let is_ready = match port {
                Some(port) => TcpStream::connect(("127.0.0.1", port)).await.is_ok(),
                None => printed().lines().any(|line| line.starts_with("ready ")),
            };
            is_ready.then_some(())
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), eventually(command, ready)).await;
        let errors = std::fs::read_to_string(format!("{}.errors", log.display())).unwrap_or_default();
        assert!(waited.is_ok(), "`{command}` is not ready: {}{errors}", printed());
        printed().lines().map(str::to_owned).collect()
    }
}

impl Drop for Shell {
    /// Ends the shell with all that it started.
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            drop(std::process::Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status());
        }
    }
}
