//! nginx as a forwarder: one process, kept-alive connections to the load and to the provider, no log.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::invoke_bench::SetupError;
use crate::invoke_bench::child::{Cores, Measured};

/// How to get it, where it is missing.
pub(crate) const INSTALL: &str = "apt-get install nginx-light";
/// Where Debian puts it, which is on few users' path.
const PLACES: [&str; 2] = ["/usr/sbin/nginx", "/usr/bin/nginx"];
const READY_WITHIN: Duration = Duration::from_secs(5);
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Starts it in front of `backend`; none if it is not installed.
pub(crate) async fn start(
    backend: SocketAddr,
    cores: Option<Cores>,
    directory: &Path,
) -> Result<Option<(Measured, SocketAddr)>, SetupError> {
    let Some(program) = PLACES.into_iter().find(|place| Path::new(place).exists()) else {
        return Ok(None);
    };
    let address = free_port().await?;
    let configuration = directory.join("nginx.conf");
    std::fs::write(&configuration, configure(address, backend, directory)).map_err(SetupError::Directory)?;
    let log = directory.join("nginx.log");
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(&configuration);
    let measured = Measured::start(command, cores, &log)?;
    let ready = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(TRY_EVERY).await;
        }
    };
    match tokio::time::timeout(READY_WITHIN, ready).await {
        Ok(()) => Ok(Some((measured, address))),
        Err(_) => {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            Err(SetupError::Silent { program: program.to_owned(), seconds: READY_WITHIN.as_secs(), said })
        }
    }
}

/// A port that was free a moment ago: nginx cannot say which one it was given.
async fn free_port() -> Result<SocketAddr, SetupError> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(SetupError::Backend)?;
    listener.local_addr().map_err(SetupError::Backend)
}

/// One process without a master, which is what one worker does, and whose CPU time is the whole.
fn configure(listen: SocketAddr, backend: SocketAddr, directory: &Path) -> String {
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
