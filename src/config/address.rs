//! Addresses other than those of servers: listeners, resolvers, networks, socket paths, contact.
//!
//! Pure: decides on the shape alone. Whether a port is free or a socket exists shows at start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::error::Fault;
use super::{Config, ListenAddress, ServerAddress};

const LISTEN: &str = "\"IP:PORT\", \"[IPv6]:PORT\", \"unix:/path\" or \"systemd:NAME\"";

/// The path in `sockaddr_un` holds 108 bytes, the final zero included (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;

/// What systemd takes as FileDescriptorName= (systemd.socket(5)).
const SOCKET_NAME_BYTES_MAX: usize = 255;

impl Config {
    /// Where we listen ourselves, metrics and health included. What systemd passes is known only
    /// once it has been found.
    pub fn own_addresses(&self) -> impl Iterator<Item = ServerAddress> {
        let listeners = self.listeners.iter().map(|listener| &listener.address);
        listeners.chain(&self.admin.listen).filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(ServerAddress::Ip(*address)),
            ListenAddress::Unix(path) => Some(ServerAddress::Unix(path.clone())),
            ListenAddress::Systemd(_) => None,
        })
    }
}

/// Reads an element of `listen`; port 0 lets the system choose.
///
/// # Errors
/// Not an IP address with a port, nor an absolute path after `unix:`, nor a name after `systemd:`.
pub fn listen(text: &str) -> Result<ListenAddress, Fault> {
    if let Some(name) = text.strip_prefix("systemd:") {
        return socket_name(name).map(ListenAddress::Systemd);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(ListenAddress::Unix);
    }
    if let Ok(address) = text.parse() {
        return Ok(ListenAddress::Tcp(address));
    }
    let fault = Fault::new(format!("`{text}` is not an address to listen on")).expected(LISTEN);
    Err(fault.nearest(meant_listen(text)))
}

/// Reads the name that a socket unit gives to its sockets.
fn socket_name(name: &str) -> Result<String, Fault> {
    let graphic = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if graphic && (1..=SOCKET_NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(name.to_owned());
    }
    Err(Fault::new(format!("`{name}` is not a name of sockets"))
        .expected("the FileDescriptorName= of a socket unit, e.g. \"systemd:http\""))
}

/// Other programs' ways to write a listener, as we write it.
fn meant_listen(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return Some(format!("unix:{text}"));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 80).to_string());
    }
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().ok()?;
    match host {
        "" | "*" => Some(format!("0.0.0.0:{port}")),
        "localhost" => Some(format!("127.0.0.1:{port}")),
        host => host.parse().ok().map(|address| SocketAddr::new(address, port).to_string()),
    }
}

/// Reads an element of `resolvers`; without a port it is 53.
///
/// # Errors
/// Not an IP address, or port 0.
pub fn resolver(text: &str) -> Result<SocketAddr, Fault> {
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    match bare.or_else(|_| text.parse()) {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) | Err(_) => Err(Fault::new(format!("`{text}` is not the address of a name server"))
            .expected("\"IP\" or \"IP:PORT\", e.g. \"127.0.0.53\"")),
    }
}

/// Reads a network in CIDR notation; bits beyond the prefix are cleared.
///
/// # Errors
/// No prefix length, or not an address.
pub fn network(text: &str) -> Result<IpNet, Fault> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(network.trunc());
    }
    let single = text.parse::<IpAddr>().ok().map(IpNet::from);
    Err(Fault::new(format!("`{text}` is not a network"))
        .expected("an address and a prefix length, e.g. \"10.0.0.0/8\"")
        .nearest(single.map(|network| network.to_string())))
}

/// Reads the path of a Unix socket.
///
/// # Errors
/// Not absolute, or longer than 107 bytes.
pub fn unix_path(text: &str) -> Result<PathBuf, Fault> {
    let path = absolute_path(text)?;
    if text.len() > UNIX_PATH_BYTES_MAX {
        let message = format!("the socket's path has {} bytes", text.len());
        return Err(Fault::new(message).expected("at most 107 bytes"));
    }
    Ok(path)
}

/// Reads a path that does not depend on where the daemon was started.
///
/// # Errors
/// Not absolute, only `/`, or with a zero byte.
pub fn absolute_path(text: &str) -> Result<PathBuf, Fault> {
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        let fault = Fault::new(format!("`{text}` is not an absolute path"));
        return Err(fault.expected("the path of a file, from `/` on"));
    }
    Ok(PathBuf::from(text))
}

/// Reads `contact`: it becomes a link on a page that everyone sees.
///
/// # Errors
/// Neither `mailto:` with an address nor `http://` or `https://` with a host.
pub fn contact(text: &str) -> Result<String, Fault> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    let is_mailbox = |text: &str| {
        text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
    };
    let is_link = if let Some(mailbox) = text.strip_prefix("mailto:") {
        is_mailbox(mailbox)
    } else {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    };
    if plain && is_link {
        return Ok(text.to_owned());
    }
    let bare_mailbox = plain && is_mailbox(text) && !text.contains(':');
    Err(Fault::new(format!("`{text}` is not a contact"))
        .expected("\"mailto:admin@shop.example\" or \"https://shop.example/help\"")
        .nearest(bare_mailbox.then(|| format!("mailto:{text}"))))
}

#[cfg(test)]
mod tests {
    use crate::config::Listener;

    use super::*;

    #[test]
    fn listeners() {
        for text in
            ["127.0.0.1:8502", "0.0.0.0:0", "[::]:80", "unix:/run/causeway/http.sock", "systemd:a"]
        {
            assert_eq!(listen(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        let longest = format!("unix:/{}", "a".repeat(106));
        assert!(listen(&longest).is_ok());
        assert!(listen(&(longest + "a")).is_err());
    }

    #[test]
    fn bad_listeners() {
        for (text, near) in [
            ("", None),
            ("80", Some("0.0.0.0:80")),
            (":80", Some("0.0.0.0:80")),
            ("*:80", Some("0.0.0.0:80")),
            ("localhost:80", Some("127.0.0.1:80")),
            ("http://127.0.0.1:80/", Some("127.0.0.1:80")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("::1", Some("[::1]:80")),
            ("shop.example:80", None),
            ("127.0.0.1:65536", None),
            ("/run/a.sock", Some("unix:/run/a.sock")),
            ("unix:run/a.sock", None),
            ("unix:/run/", None),
            ("unix:/run/\0", None),
            ("systemd:", None),
            ("systemd:a b", None),
            ("systemd:a:b", None),
        ] {
            assert_eq!(listen(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }

    #[test]
    fn resolvers() {
        for (text, expected) in [
            ("127.0.0.53", "127.0.0.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(resolver(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        for text in ["", "dns.example", "127.0.0.1:0", "127.0.0.1:"] {
            assert!(resolver(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks() {
        for (text, expected) in
            [("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("::1/128", "::1/128")]
        {
            assert_eq!(network(text).map(|network| network.to_string()), Ok(expected.to_owned()));
        }
        for (text, near) in [
            ("10.0.0.7", Some("10.0.0.7/32")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("localhost", None),
        ] {
            assert_eq!(network(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }

    #[test]
    fn our_own_addresses_are_those_of_every_listener() {
        let (unix, systemd) = ("unix:/run/shop/http.sock", "systemd:http");
        let listener =
            |text| Listener { address: listen(text).unwrap(), tls: false, upstreams: Vec::new() };
        let mut config = Config {
            listeners: [unix, systemd, "127.0.0.1:80"].map(listener).into(),
            ..Config::default()
        };
        config.admin.listen = vec![listen("unix:/run/shop/admin.sock").unwrap()];
        let expected = [
            ServerAddress::Unix("/run/shop/http.sock".into()),
            ServerAddress::Ip("127.0.0.1:80".parse().unwrap()),
            ServerAddress::Unix("/run/shop/admin.sock".into()),
        ];
        assert_eq!(config.own_addresses().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn contacts() {
        for text in ["mailto:a@b", "https://shop.example/help?x=1", "http://10.0.0.1"] {
            assert_eq!(contact(text), Ok(text.to_owned()));
        }
        for (text, near) in [
            ("admin@shop.example", Some("mailto:admin@shop.example")),
            ("mailto:", None),
            ("mailto:a@", None),
            ("javascript:alert(1)@b", None),
            ("https://", None),
            ("https:///x", None),
            ("https://a b", None),
            ("https://a\"><script>", None),
            ("", None),
        ] {
            assert_eq!(contact(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }
}
