//! Real `merit` processes: started, waited for, killed.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Timeout of anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// First line of its output.
    pub(crate) ready: String,
    arguments: Vec<String>,
    log: PathBuf,
}

/// The wall clock of processes that were started by it.
pub(crate) struct WallClock(PathBuf);

impl WallClock {
    /// Makes one that is right, kept by a file in `dir`.
    pub(crate) fn new(dir: &Path) -> WallClock {
        let clock = WallClock(dir.join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets it to so much before or after the right time, such as `-1h`.
    pub(crate) fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }
}

/// The library by which processes read another clock.
static LIBFAKETIME: LazyLock<String> = LazyLock::new(|| {
    let listed = std::process::Command::new("dpkg").args(["-L", "libfaketime"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let library = listed.lines().find(|path| path.ends_with("libfaketimeMT.so.1"));
    library.expect("Debian's libfaketime is installed").to_owned()
});

/// A process that was killed.
pub(crate) struct Killed {
    arguments: Vec<String>,
    log: PathBuf,
}

impl Killed {
    /// Starts it again at the same addresses, with the same log.
    pub(crate) async fn start_again(&self) -> Process {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start(&arguments, &self.log).await
    }
}

pub(crate) fn merit() -> Command {
    of_tests(Command::new(env!("CARGO_BIN_EXE_merit")))
}

/// Makes the command of a process that may open so many files.
fn merit_limited(open_files: u32) -> Command {
    let mut command = Command::new("sh");
    let limit = format!("ulimit -n {open_files} && exec \"$0\" \"$@\"");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_merit")]);
    of_tests(command)
}

fn of_tests(mut command: Command) -> Command {
    // No test leaves anything in the home of the user.
    let place = env!("CARGO_TARGET_TMPDIR");
    command.env("XDG_STATE_HOME", place).env("XDG_RUNTIME_DIR", place).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Asserts that the command fails, and that its error names all of these.
pub(crate) async fn assert_fails(arguments: &[&str], named: &[&str]) {
    let output = tokio::time::timeout(PATIENCE, merit().args(arguments).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{arguments:?} did not end")).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} did not fail: {said}");
    for name in named {
        assert!(said.contains(name), "`{name}` is not in what {arguments:?} said: {said}");
    }
}

impl Process {
    /// Starts `merit` and waits for its line `ready ...`; its log goes to `log`.
    pub(crate) async fn start(arguments: &[&str], log: &Path) -> Process {
        Process::start_by(merit(), arguments, log).await
    }

    /// Starts `merit` in a process that may open so many files.
    pub(crate) async fn start_limited(arguments: &[&str], log: &Path, open_files: u32) -> Process {
        Process::start_by(merit_limited(open_files), arguments, log).await
    }

    /// Starts `merit` with a disk of its own, of so many MB, at `place`. Only it sees the disk: see [`Process::seen`].
    pub(crate) async fn start_on_disk(arguments: &[&str], log: &Path, place: &Path, mb: u32) -> Process {
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={mb}m none '{}' && exec \"$0\" \"$@\"", place.display());
        command.args(["-Urm", "sh", "-c", &mount, env!("CARGO_BIN_EXE_merit")]);
        Process::start_by(of_tests(command), arguments, log).await
    }

    /// Returns the path by which this process's view of a path is reached.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.id(), path.display()))
    }

    /// Starts `merit` with a wall clock that `clock` sets.
    pub(crate) async fn start_by_clock(arguments: &[&str], log: &Path, clock: &WallClock) -> Process {
        let mut command = merit();
        command.env("LD_PRELOAD", LIBFAKETIME.as_str()).env("FAKETIME_TIMESTAMP_FILE", &clock.0);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Process::start_by(command, arguments, log).await
    }

    async fn start_by(mut command: Command, arguments: &[&str], log: &Path) -> Process {
        let stderr = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.args(arguments).args(["--log", "info"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let ready = match first {
            Ok(Ok(Some(line))) if line.starts_with("ready ") => line,
            other => panic!("{arguments:?} printed {other:?}; its log:\n{}", std::fs::read_to_string(log).unwrap()),
        };
        // The rest of its output must go somewhere, or the pipe would fill.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut process = Process { child, ready, arguments: Vec::new(), log: log.to_owned() };
        process.arguments = process.at_its_addresses(arguments);
        process
    }

    /// Returns the arguments with the ports that the system chose.
    fn at_its_addresses(&self, arguments: &[&str]) -> Vec<String> {
        let mut kept: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        for flag in 1..kept.len() {
            if kept[flag] == "127.0.0.1:0" {
                let scheme = kept[flag - 1].trim_start_matches('-').to_owned();
                kept[flag] = self.url(&scheme).trim_start_matches("http://").to_owned();
            }
        }
        kept
    }

    /// Returns the address that follows `scheme` in the ready line.
    pub(crate) fn url(&self, scheme: &str) -> String {
        // By TLS the scheme has an s more.
        let after =
            |word: &'_ str| Some(word.strip_prefix(scheme)?.trim_start_matches('s').strip_prefix("://")?.to_owned());
        let word = self.ready.split_whitespace().find_map(after);
        format!("http://{}", word.unwrap_or_else(|| panic!("no {scheme} in `{}`", self.ready)))
    }

    /// Kills it by SIGKILL.
    pub(crate) async fn kill(mut self) -> Killed {
        self.child.kill().await.unwrap();
        Killed { arguments: std::mem::take(&mut self.arguments), log: self.log.clone() }
    }

    /// Stops it by SIGTERM, and waits for its end.
    pub(crate) async fn stop(self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it did not end; its log:\n{}", std::fs::read_to_string(&self.log).unwrap()),
        }
    }

    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// Repeats a question until it has an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < until, "it did not come to pass that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
