//! Questions about addresses: where they lead, which prefix they share, whether they may be dialled.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest address that is accepted from others, in bytes.
pub(crate) const MAX_BYTES: usize = 256;

/// The part of an address that costs money to have many of: /24 of IPv4, /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Prefix {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
    /// Through this relay: the address says nothing about the peer.
    Relayed(PeerId),
    /// A name, or something else.
    Other,
}

/// The IP address an address begins with. An IPv4 address in IPv6 clothes counts as what it is.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(canonical(IpAddr::V6(ip))),
        _ => None,
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay in an address, if it leads through one; the inner option is empty when it does not say which.
fn relay_of(address: &Multiaddr) -> Option<Option<PeerId>> {
    let mut relay = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return Some(relay),
            _ => {}
        }
    }
    None
}

/// The prefix an address counts towards.
pub(crate) fn prefix(address: &Multiaddr) -> Prefix {
    if let Some(relay) = relay_of(address) {
        return relay.map_or(Prefix::Other, Prefix::Relayed);
    }
    match ip(address) {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            Prefix::V4([a, b, c])
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, e, f, ..] = ip.octets();
            Prefix::V6([a, b, c, d, e, f])
        }
        None => Prefix::Other,
    }
}

/// Whether an address is reachable from anywhere (so far as numbers tell).
pub(crate) fn is_global(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

// The lists follow IANA's special-purpose registries. The standard library's own functions are not stable.
fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_unspecified()
        || a == 0
        || ip.is_private()
        || (a == 100 && (b & 0xc0) == 64)
        || ip.is_loopback()
        || ip.is_link_local()
        || (a == 192 && b == 0 && c == 0)
        || ip.is_documentation()
        || (a == 198 && (b & 0xfe) == 18)
        || ip.is_multicast()
        || a >= 240
        || ip.is_broadcast())
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // Global unicast is 2000::/3 without the parts set aside; everything else (unique local, link local, multicast,
    // loopback, translated IPv4) leads inside.
    (s[0] & 0xe000) == 0x2000
        && !(s[0] == 0x2001 && s[1] < 0x200)
        && !(s[0] == 0x2001 && s[1] == 0xdb8)
        && s[0] != 0x2002
        && !(s[0] == 0x3fff && s[1] < 0x1000)
}

/// Whether the node may dial or believe an address that another names. Host names are allowed: what they resolve to
/// is checked when it is dialled. `local` admits loopback and private addresses.
pub(crate) fn is_allowed(address: &Multiaddr, local: bool) -> bool {
    if address.len() > MAX_BYTES {
        return false;
    }
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => may_dial(IpAddr::V4(ip), local),
        Some(Protocol::Ip6(ip)) => may_dial(IpAddr::V6(ip), local),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    }
}

/// Whether a socket may be opened to this address.
pub(crate) fn may_dial(ip: IpAddr, local: bool) -> bool {
    let ip = canonical(ip);
    if local {
        !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
    } else {
        is_global(ip)
    }
}

/// Takes `/p2p/PEER` off the end.
pub(crate) fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut bare = address.clone();
    match bare.iter().last() {
        Some(Protocol::P2p(peer)) => {
            bare.pop();
            (bare, Some(peer))
        }
        _ => (bare, None),
    }
}

/// Whether `/p2p/...` at the end, if present, names this peer.
pub(crate) fn belongs_to(address: &Multiaddr, peer: &PeerId) -> bool {
    match address.iter().last() {
        Some(Protocol::P2p(named)) => named == *peer,
        _ => true,
    }
}

/// The address of `peer` through `relay`.
pub(crate) fn circuit(relay: PeerId, via: &Multiaddr, peer: PeerId) -> Multiaddr {
    let (bare, _) = split_peer(via);
    bare.with(Protocol::P2p(relay))
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(peer))
}

/// Cleans addresses that a peer names as its own: allowed, its own, without `/p2p/` at the end (kept on relayed ones),
/// without repeats, at most `max`.
pub(crate) fn clean(
    addresses: impl IntoIterator<Item = Multiaddr>,
    peer: &PeerId,
    local: bool,
    max: usize,
) -> Vec<Multiaddr> {
    let mut kept: Vec<Multiaddr> = Vec::new();
    for address in addresses {
        if kept.len() == max {
            break;
        }
        if !belongs_to(&address, peer) || !is_allowed(&address, local) || is_empty_port(&address) {
            continue;
        }
        let address = if is_relayed(&address) {
            address
        } else {
            split_peer(&address).0
        };
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

fn is_empty_port(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::Tcp(0) | Protocol::Udp(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix(&at("/ip4/9.8.7.6/tcp/1")), Prefix::V4([9, 8, 7]));
        assert_eq!(prefix(&at("/ip6/::ffff:9.8.7.6/tcp/1")), Prefix::V4([9, 8, 7]));
        assert_eq!(
            prefix(&at("/ip6/2a01:4f8:1:2::3/udp/1/quic-v1")),
            Prefix::V6([0x2a, 1, 4, 0xf8, 0, 1])
        );
        assert_eq!(prefix(&at("/dns4/example.org/tcp/1")), Prefix::Other);
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let relayed = circuit(peer, &at("/ip4/9.8.7.6/tcp/1"), peer);
        assert_eq!(prefix(&relayed), Prefix::Relayed(peer));
    }

    #[test]
    fn inside_addresses_are_not_dialled() {
        for bad in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/192.168.0.1/tcp/1",
            "/ip4/172.16.0.1/tcp/1",
            "/ip4/169.254.169.254/tcp/80",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/::ffff:127.0.0.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fc00::1/tcp/1",
            "/ip6/64:ff9b::7f00:1/tcp/1",
            "/ip6/2002:7f00:1::/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/memory/4",
            "/unix/tmp",
        ] {
            assert!(!is_allowed(&at(bad), false), "{bad}");
        }
        for good in [
            "/ip4/8.8.8.8/tcp/1",
            "/ip6/2a01:4f8::1/tcp/1",
            "/dns/example.org/tcp/1",
        ] {
            assert!(is_allowed(&at(good), false), "{good}");
        }
        assert!(is_allowed(&at("/ip4/127.0.0.1/tcp/1"), true));
        assert!(!is_allowed(&at("/ip4/0.0.0.0/tcp/1"), true));
    }

    #[test]
    fn addresses_of_others_are_dropped() {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let other = Keypair::generate_ed25519().public().to_peer_id();
        let plain = at("/ip4/8.8.8.8/tcp/1");
        let cleaned = clean(
            [
                plain.clone().with(Protocol::P2p(other)),
                plain.clone().with(Protocol::P2p(peer)),
                plain.clone(),
                at("/ip4/127.0.0.1/tcp/1"),
                at("/ip4/8.8.8.8/tcp/0"),
            ],
            &peer,
            false,
            8,
        );
        assert_eq!(cleaned, vec![plain]);
    }
}
