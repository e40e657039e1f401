//! Which addresses may be connected to: those of the open internet, and what the operator allows besides.
//!
//! What is closed comes from IANA's registries of special-purpose addresses
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>, `iana-ipv6-special-registry`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, like `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a network: expected its first address and a length, like 10.1.0.0/16")
    }
}

impl std::error::Error for NoNetwork {}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Network, NoNetwork> {
        let (address, bits) = text.split_once('/').ok_or(NoNetwork)?;
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let bits = bits.parse().map_err(|_| NoNetwork)?;
        let network = Network { address, bits };
        let (first, width) = number(address);
        // Written by its first address, so that a slip of the length is seen.
        (bits <= width && masked(first, width, bits) == first).then_some(network).ok_or(NoNetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Network {
        Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
    }

    const fn v6(a: u16, b: u16, bits: u8) -> Network {
        Network { address: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits }
    }

    /// Whether `address` lies in it. An IPv4 address written as IPv6 is another address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let ((first, width), (other, other_width)) = (number(self.address), number(address));
        width == other_width && masked(other, width, self.bits) == first
    }
}

/// An address as a number, and of how many bits.
fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

fn masked(number: u128, width: u8, bits: u8) -> u128 {
    let rest = u32::from(width - bits);
    number.checked_shr(rest).unwrap_or(0).checked_shl(rest).unwrap_or(0)
}

/// IPv4 that is not of the open internet.
const CLOSED_V4: [Network; 16] = [
    Network::v4(0, 0, 0, 8),       // this network; 0.0.0.0 connects to this machine
    Network::v4(10, 0, 0, 8),      // private
    Network::v4(100, 64, 0, 10),   // shared by a carrier's customers
    Network::v4(127, 0, 0, 8),     // this machine
    Network::v4(169, 254, 0, 16),  // this link; clouds answer for their machines there
    Network::v4(172, 16, 0, 12),   // private
    Network::v4(192, 0, 0, 24),    // protocol assignments
    Network::v4(192, 0, 2, 24),    // documentation
    Network::v4(192, 31, 196, 24), // AS112
    Network::v4(192, 52, 193, 24), // AMT
    Network::v4(192, 88, 99, 24),  // 6to4 relays
    Network::v4(192, 168, 0, 16),  // private
    Network::v4(198, 18, 0, 15),   // benchmarks
    Network::v4(198, 51, 100, 24), // documentation
    Network::v4(203, 0, 113, 24),  // documentation
    Network::v4(224, 0, 0, 3),     // multicast, reserved, broadcast
];

/// The one part of IPv6 that is of the open internet. Outside lie loopback, link-local, unique-local, multicast, and
/// IPv4 behind a prefix (mapped, NAT64).
const OPEN_V6: Network = Network::v6(0x2000, 0, 3);

/// And what is closed within it.
const CLOSED_V6: [Network; 4] = [
    Network::v6(0x2001, 0, 23),     // protocol assignments, Teredo among them
    Network::v6(0x2001, 0xdb8, 32), // documentation
    Network::v6(0x2002, 0, 16),     // 6to4: any IPv4 address may lie in it
    Network::v6(0x3fff, 0, 20),     // documentation
];

/// Whether a request may connect to `address`.
pub(super) fn is_allowed(address: IpAddr, networks: &[Network]) -> bool {
    is_open(address) || networks.iter().any(|network| network.holds(address))
}

fn is_open(address: IpAddr) -> bool {
    let lies_in = |networks: &[Network]| networks.iter().any(|network| network.holds(address));
    match address {
        IpAddr::V4(_) => !lies_in(&CLOSED_V4),
        IpAddr::V6(_) => OPEN_V6.holds(address) && !lies_in(&CLOSED_V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> bool {
        is_allowed(text.parse().unwrap(), &[])
    }

    #[test]
    fn the_open_internet_is_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860::8888",
            "2a00:1450::1",
            "2001:200::1",
        ] {
            assert!(open(address), "{address}");
        }
    }

    #[test]
    fn every_special_class_is_refused() {
        for (class, addresses) in [
            ("unspecified", &["0.0.0.0", "0.1.2.3", "::"][..]),
            ("loopback", &["127.0.0.1", "127.255.255.255", "::1"]),
            ("private", &["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"]),
            ("link-local", &["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"]),
            ("carrier", &["100.64.0.1", "100.127.255.255"]),
            ("unique-local", &["fc00::1", "fd00:ec2::254", "fdff::1"]),
            ("site-local", &["fec0::1"]),
            ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1"]),
            ("reserved", &["240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.0.170"]),
            ("documentation", &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
            ("benchmarks", &["198.18.0.1", "198.19.255.255", "2001:2::1"]),
            ("mapped", &["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"]),
            ("compatible", &["::127.0.0.1", "::8.8.8.8"]),
            ("6to4", &["2002:7f00:1::1", "2002:808:808::1", "192.88.99.1"]),
            ("NAT64", &["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"]),
            ("Teredo", &["2001::1", "2001:0:4136:e378::1"]),
            ("discard", &["100::1"]),
            ("segment routing", &["5f00::1"]),
        ] {
            for address in addresses {
                assert!(!open(address), "{class}: {address}");
            }
        }
    }

    #[test]
    fn an_operator_may_allow_a_network() {
        let networks = ["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        let allowed = |text: &str| is_allowed(text.parse().unwrap(), &networks);
        assert!(allowed("10.1.0.0") && allowed("10.1.255.255") && allowed("fd00:1::5"));
        for address in ["10.0.255.255", "10.2.0.0", "fd00:2::5", "::ffff:10.1.0.1", "127.0.0.1"] {
            assert!(!allowed(address), "{address}");
        }
    }

    #[test]
    fn a_network_is_its_first_address_and_a_length() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::/8", "::1/128"] {
            assert!(text.parse::<Network>().is_ok(), "{text}");
        }
        for text in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "fd00::/129", "fd00::1/8", "x/8", "10.0.0.0/-1"]
        {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().holds("127.0.0.1".parse().unwrap()));
    }
}
