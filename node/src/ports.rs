//! Ports that are taken are found before anything starts.
//!
//! Without this, a node with a taken peer-to-peer port would share it with the other one (its sockets allow that) and
//! lose half of its connections, one with a taken RPC port would listen on another one, and one with a taken Prometheus
//! port would go without metrics.

use sc_network::{Multiaddr, multiaddr::Protocol};
use sc_service::Configuration;
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// Fails with a sentence on what to do when something else listens where the node is about to.
pub fn check(config: &Configuration) -> Result<(), String> {
    let peers = config
        .network
        .listen_addresses
        .iter()
        .filter_map(socket)
        .map(|a| (a, "--port"));
    let rpc = match &config.rpc.addr {
        Some(endpoints) => endpoints
            .iter()
            .filter(|e| !e.is_optional)
            .map(|e| e.listen_addr)
            .collect(),
        None => vec![SocketAddr::new([127, 0, 0, 1].into(), config.rpc.port)],
    };
    let rpc = rpc.into_iter().map(|a| (a, "--rpc-port"));
    let metrics = config
        .prometheus_config
        .iter()
        .map(|p| (p.port, "--prometheus-port"));
    peers
        .chain(rpc)
        .chain(metrics)
        .try_for_each(|(address, option)| free(address, option))
}

/// The TCP socket of an address to listen on; `None` for other transports.
fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Only a port in use counts: what else can be wrong with an address, its owner finds out.
fn free(address: SocketAddr, option: &str) -> Result<(), String> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(format!(
            "can not listen on {address}: another program does; stop it, or choose another port with {option}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_option() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(free(taken, "--port"), Ok(()));
        let holder = TcpListener::bind(taken).unwrap();
        let error = free(taken, "--port").unwrap_err();
        assert!(
            error.contains(&taken.to_string()) && error.contains("--port"),
            "{error}"
        );
        drop(holder);
        assert_eq!(free(taken, "--port"), Ok(()));
    }

    #[test]
    fn only_tcp_addresses_have_a_port_to_look_at() {
        let socket = |text: &str| socket(&text.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(socket("/ip4/127.0.0.1/tcp/30333"), Some("127.0.0.1:30333".into()));
        assert_eq!(socket("/ip6/::/tcp/30333/ws"), Some("[::]:30333".into()));
        assert_eq!(socket("/ip4/127.0.0.1/udp/30333/quic-v1"), None);
        assert_eq!(socket("/dns/localhost/tcp/30333"), None);
    }
}
