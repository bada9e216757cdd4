//! Addresses to listen at, as people write them.

use std::net::{SocketAddr, ToSocketAddrs};

/// An address and a port; a name is resolved, to IPv4 where it has both.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = |text: &str| text.parse::<u16>().is_ok();
    let (host, number) = text.rsplit_once(':').unwrap_or(if port(text) { ("", text) } else { (text, "") });
    match (host, number) {
        ("", number) if port(number) => Err(format!("an address belongs before the port: 127.0.0.1:{number} would be right")),
        // IPv6 is full of colons; with a port behind it it stands in brackets.
        _ if text.parse::<std::net::Ipv6Addr>().is_ok() => Err(format!("a port belongs behind the address: [{text}]:6333 would be right")),
        (_, "") => {
            Err(format!("a port belongs behind the address: {}:6333 would be right", if host.is_empty() { "127.0.0.1" } else { host }))
        }
        (_, number) if !port(number) => Err(format!("{number} is no port; a number from 0 to 65535, as in 127.0.0.1:6333, would be right")),
        _ => {
            let right = "an address and a port, such as 127.0.0.1:6333, would be right";
            let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| format!("{host}: {error}; {right}"))?.collect();
            let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
            first.copied().ok_or_else(|| format!("{host} has no address; {right}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_numbers_or_a_name_and_has_a_port() {
        let read = |text: &str| address(text).map(|address| address.to_string());
        for right in ["127.0.0.1:7511", "0.0.0.0:0", "[::1]:7511"] {
            assert_eq!(read(right).as_deref(), Ok(right));
        }
        for (wrong, right) in [
            ("7511", "before the port: 127.0.0.1:7511 would be right"),
            (":7511", "before the port: 127.0.0.1:7511 would be right"),
            ("127.0.0.1", "behind the address: 127.0.0.1:6333 would be right"),
            ("localhost", "behind the address: localhost:6333 would be right"),
            ("::1", "behind the address: [::1]:6333 would be right"),
            ("", "behind the address: 127.0.0.1:6333 would be right"),
            ("127.0.0.1:x", "x is no port; a number from 0 to 65535"),
            ("127.0.0.1:65536", "65536 is no port"),
            ("no..host:7511", "no..host: "),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.contains(right), "{wrong}: {said}");
        }
        // Where the system knows its own name, as nearly every one does.
        if let Ok(address) = address("localhost:7511") {
            assert!(address.ip().is_loopback() && address.port() == 7511, "{address}");
        }
    }
}
