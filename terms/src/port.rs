//! The port in the authority of a URL. A parser of URLs takes a number beyond the largest port for none at all.

/// A port that no server has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the port `{0}` is not 1 to 65535")]
pub struct PortError(String);

/// Returns the port of an authority (`host`, `host:port`, `[address]:port`), or none where it names none.
pub fn port_of(authority: &str) -> Result<Option<u16>, PortError> {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let behind = host_and_port.rsplit_once(']').map_or(host_and_port, |(_, rest)| rest);
    let Some((_, port)) = behind.rsplit_once(':') else { return Ok(None) };
    let number = port.parse().ok().filter(|number| *number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()));
    number.map(Some).ok_or_else(|| PortError(port.to_owned()))
}
