//! The processes of the bench: a market with keys, its sellers of WebAssembly, and sellers of function servers. Never
//! calls a function.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::invoke_bench::SetupError;
use crate::invoke_bench::api_client::ApiClient;
use crate::invoke_bench::child::Measured;
use crate::invoke_bench::merit::{READY_TIMEOUT, first_key, parse_ready};

/// Sellers that run modules, each a process; those of one machine share their compiled modules.
const EDGES: [&str; 3] = ["edge-1", "edge-2", "edge-3"];
/// Arguments of each: room for all accounts within the default limit of their calls at once, and a CPU share by which
/// all sellers together sell about two cores.
const EDGE: [&str; 6] = ["--slots", "16", "--memory-mb", "8192", "--cpu-share", "0.04"];
/// Timeout of the end of a seller, which drains for 10 s.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A market, ready for calls when its sellers are.
pub(crate) struct TenantsMarket {
    program: PathBuf,
    directory: PathBuf,
    operator: ApiClient,
    seller: ApiClient,
    exchange: String,
    /// Endpoints of the function servers, by the name of their provider.
    servers: [(&'static str, SocketAddr); 2],
    _market: Running,
}

/// A process that serves.
struct Running {
    measured: Measured,
    ready: String,
    /// Standard output, which stays open as a terminal would.
    _output: Lines<BufReader<ChildStdout>>,
}

/// The running sellers.
pub(crate) struct Sellers(Vec<Running>);

impl TenantsMarket {
    /// Starts a market that asks for keys. `bad` fails every request, and nothing listens at `nowhere`.
    pub(crate) async fn start(
        program: &Path,
        directory: &Path,
        bad: SocketAddr,
        nowhere: SocketAddr,
    ) -> Result<TenantsMarket, SetupError> {
        let (program, directory) = (program.to_owned(), directory.to_owned());
        let data = directory.join("data");
        let key = first_key(&program, &data).await?;
        let mut command = Command::new(&program);
        command.args(["up", "--no-demo", "--require-keys", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        // The providers are on this machine, where endpoints are refused by default.
        command.args(["--allow-network", "127.0.0.0/8", "--data-dir"]).arg(&data);
        let market = Running::start(command, &directory.join("market.log")).await?;
        let (server, exchange) = parse_ready(&market.ready).ok_or(SetupError::Key)?;
        let operator = ApiClient { server, key };
        let seller = operator.open_account("seller", "provider").await?;
        let servers = [("server", bad), ("nowhere", nowhere)];
        for name in EDGES.into_iter().chain(servers.map(|(name, _)| name)) {
            let provider = json!({"name": name, "account": "seller", "kind": "market"});
            operator.ask(Method::POST, "/v1/providers", provider.to_string()).await?;
        }
        Ok(TenantsMarket { program, directory, operator, seller, exchange, servers, _market: market })
    }

    /// Opens an account of a client, with a limit on its calls at once.
    pub(crate) async fn open_client(&self, name: &str, limit: Option<u32>) -> Result<ApiClient, SetupError> {
        let client = self.operator.open_account(name, "client").await?;
        let limits = json!({"max_concurrency": limit}).to_string();
        self.operator.ask(Method::PUT, &format!("/v1/accounts/{name}/limits"), limits).await?;
        Ok(client)
    }

    /// Starts all sellers. Returns when their offers stand in the book.
    pub(crate) async fn start_sellers(&self) -> Result<Sellers, SetupError> {
        let mut sellers = Vec::new();
        for name in EDGES {
            let mut command = self.provider(name);
            command.args(EDGE).arg("--module-cache").arg(self.directory.join("modules"));
            sellers.push(Running::start(command, &self.log(name)).await?);
        }
        for (name, endpoint) in self.servers {
            let mut command = self.provider(name);
            command.args(["--adapter", "http", "--no-probe", "--slots", "64", "--endpoint"]);
            command.arg(format!("http://{endpoint}"));
            sellers.push(Running::start(command, &self.log(name)).await?);
        }
        Ok(Sellers(sellers))
    }

    fn provider(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["provider", "--name", name, "--exchange", &self.exchange]);
        command.env("MERIT_KEY", &self.seller.key);
        command
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }
}

impl Running {
    /// Starts a program with its log in a file. Returns when it says that it is ready.
    async fn start(command: Command, log: &Path) -> Result<Running, SetupError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut measured = Measured::start(command, None, log)?;
        let silent = || SetupError::Silent {
            program: program.clone(),
            seconds: READY_TIMEOUT.as_secs(),
            said: std::fs::read_to_string(log).unwrap_or_default(),
        };
        let mut output = BufReader::new(measured.child.stdout.take().ok_or_else(silent)?).lines();
        let line = tokio::time::timeout(READY_TIMEOUT, output.next_line()).await;
        let ready = line.ok().and_then(Result::ok).flatten().ok_or_else(silent)?;
        Ok(Running { measured, ready, _output: output })
    }
}

impl Sellers {
    /// Stops all, and with them the compilers that an attack left behind.
    pub(crate) async fn stop(self) {
        for seller in &self.0 {
            let process = i32::try_from(seller.measured.process).ok().and_then(Pid::from_raw);
            // It may have ended by itself.
            process.map(|process| kill_process(process, Signal::TERM).ok());
        }
        for mut seller in self.0 {
            drop(tokio::time::timeout(END_TIMEOUT, seller.measured.child.wait()).await);
            seller.measured.end().await;
        }
    }
}
