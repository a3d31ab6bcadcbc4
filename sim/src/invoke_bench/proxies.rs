//! The proxies beside Merit: nginx, haproxy and a forwarder on Merit's own HTTP stack. Each is one process that only
//! forwards, with kept-alive connections both ways and no log. Never installs one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::invoke_bench::child::{Cores, Measured};
use crate::invoke_bench::{SetupError, Target};

/// Timeout of a proxy's start.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of connection attempts to a starting proxy.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Returns the command that installs a missing target, or `None` for a target that is never missing.
pub(crate) const fn install(target: Target) -> Option<&'static str> {
    match target {
        Target::Nginx => Some("apt-get install nginx-light"),
        Target::Haproxy => Some("apt-get install haproxy"),
        _ => None,
    }
}

/// Starts nginx in front of `backend`. Returns `None` if it is not installed.
pub(crate) async fn nginx(
    backend: SocketAddr,
    cores: Option<Cores>,
    directory: &Path,
) -> Result<Option<(Measured, SocketAddr)>, SetupError> {
    let Some(program) = find("nginx") else { return Ok(None) };
    let address = free_port().await?;
    let configuration = directory.join("nginx.conf");
    std::fs::write(&configuration, nginx_conf(address, backend, directory)).map_err(SetupError::Directory)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(&configuration);
    start(command, address, cores, &directory.join("nginx.log")).await.map(Some)
}

/// Starts haproxy in front of `backend`. Returns `None` if it is not installed.
pub(crate) async fn haproxy(
    backend: SocketAddr,
    cores: Option<Cores>,
    directory: &Path,
) -> Result<Option<(Measured, SocketAddr)>, SetupError> {
    let Some(program) = find("haproxy") else { return Ok(None) };
    let address = free_port().await?;
    let configuration = directory.join("haproxy.cfg");
    std::fs::write(&configuration, haproxy_cfg(address, backend)).map_err(SetupError::Directory)?;
    let mut command = Command::new(program);
    // In the foreground, in one process.
    command.arg("-db").arg("-f").arg(&configuration);
    start(command, address, cores, &directory.join("haproxy.log")).await.map(Some)
}

/// Starts `merit bench forwarder` in front of `backend`.
pub(crate) async fn forwarder(
    merit: &Path,
    backend: SocketAddr,
    cores: Option<Cores>,
    directory: &Path,
) -> Result<(Measured, SocketAddr), SetupError> {
    let address = free_port().await?;
    let mut command = Command::new(merit);
    command.args(["bench", "forwarder", "--listen", &address.to_string(), "--to", &backend.to_string()]);
    start(command, address, cores, &directory.join("forwarder.log")).await
}

/// Finds a program where Debian puts it, which is on few users' path.
fn find(program: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(|place| format!("{place}/{program}"));
    places.into_iter().find(|place| Path::new(place).exists())
}

/// Starts a proxy. Returns after it accepts connections.
async fn start(
    command: Command,
    address: SocketAddr,
    cores: Option<Cores>,
    log: &Path,
) -> Result<(Measured, SocketAddr), SetupError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let measured = Measured::start(command, cores, log)?;
    let ready = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    };
    match tokio::time::timeout(READY_TIMEOUT, ready).await {
        Ok(()) => Ok((measured, address)),
        Err(_) => {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            Err(SetupError::Silent { program, seconds: READY_TIMEOUT.as_secs(), said })
        }
    }
}

/// Returns a port that was free a moment ago, because these programs cannot report a port that the system chose.
async fn free_port() -> Result<SocketAddr, SetupError> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(SetupError::Backend)?;
    listener.local_addr().map_err(SetupError::Backend)
}

/// Writes the configuration of one process without a master, whose CPU time is the whole.
fn nginx_conf(listen: SocketAddr, backend: SocketAddr, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    upstream provider {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen {listen};
        location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
    }}
}}
"
    )
}

/// Writes the configuration of one thread, with connections to the provider shared by all requests.
fn haproxy_cfg(listen: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend load
    bind {listen}
    default_backend providers
backend providers
    server provider {backend}
"
    )
}
