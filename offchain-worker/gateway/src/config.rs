//! What an operator can set.

use std::{net::SocketAddr, path::Path, time::Duration};
use subtle::ConstantTimeEq;

/// How the gateway listens and whom it lets in.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What callers that spend the node's money must show.
    pub token: Option<Token>,
    /// Whether models, quotes, routes, status and sealed requests are there for callers without the token.
    pub open_without_token: bool,
    /// Whether anyone may spend the node's money when there is no token. Without a token it is only ever allowed to
    /// local callers (a gateway that listens on a loopback address).
    pub anyone_may_spend: bool,
    /// Names in `Host` beside the listen address and `localhost`. When it listens on a loopback address, every other name is refused,
    /// so that a web page can not reach it by a name that it controls. Elsewhere an empty list lets every name in.
    pub hosts: Vec<String>,
    /// Web pages that may call (`https://app.example.org`); none by default.
    pub origins: Vec<String>,
    pub limits: Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9955)),
            token: None,
            open_without_token: true,
            anyone_may_spend: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on what callers can take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest body of an HTTP request, in bytes.
    pub body_bytes: usize,
    /// Longest WebSocket message, in bytes; a longer one ends the connection. With a few bytes a connection can make the server
    /// take this much memory, so it is less than a body can have; `websockets` times this is what all of them can take.
    pub message_bytes: usize,
    /// Bytes of requests that are held at the same time, as they came in or as tensors.
    pub buffered_bytes: usize,
    /// Longest path and query in bytes.
    pub uri_bytes: usize,
    /// Longest header section in bytes.
    pub header_bytes: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections at the same time from one address (IPv6: one /64).
    pub connections_per_address: usize,
    /// WebSocket connections at the same time.
    pub websockets: usize,
    /// WebSocket connections at the same time from one address.
    pub websockets_per_address: usize,
    /// Calls at work in the node at the same time.
    pub calls: usize,
    /// Calls at the same time on one WebSocket connection.
    pub calls_per_connection: usize,
    /// Subscriptions at the same time on one WebSocket connection.
    pub subscriptions_per_connection: u32,
    /// Calls in one JSON-RPC batch.
    pub batch: u32,
    /// Requests a second from one address, on average.
    pub requests_per_second: u32,
    /// Requests from one address in one go.
    pub burst: u32,
    /// Time for the header section, and how long a connection may idle between requests.
    pub header_timeout: Duration,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// How long a peer may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How often a WebSocket peer is pinged; two unanswered pings end the connection.
    pub ping_interval: Duration,
    /// Time for an inference whose caller names none.
    pub default_deadline: Duration,
    /// Most time that a caller can ask for.
    pub max_deadline: Duration,
    /// Time for every other call.
    pub call_timeout: Duration,
    /// How long a shutdown waits for what is begun.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            message_bytes: 8 << 20,
            buffered_bytes: 256 << 20,
            uri_bytes: 1024,
            header_bytes: 16 << 10,
            headers: 64,
            connections: 512,
            connections_per_address: 128,
            websockets: 64,
            websockets_per_address: 16,
            calls: 256,
            calls_per_connection: 32,
            subscriptions_per_connection: 16,
            batch: 16,
            requests_per_second: 2_000,
            burst: 4_000,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            default_deadline: Duration::from_secs(30),
            max_deadline: Duration::from_secs(300),
            call_timeout: Duration::from_secs(15),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// A secret that callers show as `Authorization: Bearer ...`. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Shortest token in bytes.
    pub const MIN_BYTES: usize = 16;
    /// Longest token in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Takes a token: [`Self::MIN_BYTES`] to [`Self::MAX_BYTES`] printable ASCII characters without spaces.
    ///
    /// # Errors
    /// With a sentence on what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        if !(Self::MIN_BYTES..=Self::MAX_BYTES).contains(&text.len()) {
            return Err(format!(
                "a token has {} to {} characters, this one has {}",
                Self::MIN_BYTES,
                Self::MAX_BYTES,
                text.len()
            ));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("a token is of printable ASCII characters without spaces".into());
        }
        Ok(Self(text.into()))
    }

    /// Reads a token file: one line.
    ///
    /// # Errors
    /// With a sentence that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        use std::io::Read;
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let mut text = String::new();
        // One more than the longest token with its line end, so that a wrong file is not read whole.
        std::fs::File::open(path)
            .and_then(|file| file.take(Self::MAX_BYTES as u64 + 3).read_to_string(&mut text))
            .map_err(|e| fail(&e))?;
        Self::new(text.trim_end_matches(['\r', '\n'])).map_err(|e| fail(&e))
    }

    /// Compares without telling by its time how much fits.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_and_never_printed() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        assert!(!token.is(b"0123456789abcdeg") && !token.is(b"0123456789abcde") && !token.is(b""));
        assert!(!format!("{token:?}").contains("0123"));
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(Token::new(bad).is_err(), "{bad}");
        }
        assert!(Token::new(&"x".repeat(513)).is_err());
    }
}
