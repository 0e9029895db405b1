//! A packet, from its network header on (RFC 791, 8200, 9293). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP: u8 = 6;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A segment of TCP.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the next byte that its sender expects.
    pub acknowledged: Option<u32>,
    /// It opens the connection.
    pub syn: bool,
    /// Its sender sends nothing more.
    pub fin: bool,
    /// It breaks the connection.
    pub rst: bool,
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// `None` where it is none, or none that can be read.
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let (source, destination, tcp) = match packet.first()? >> 4 {
            4 => v4(packet)?,
            6 => v6(packet)?,
            _ => return None,
        };
        let half = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let (offset, flags) = (usize::from(tcp.get(12)? >> 4) * 4, *tcp.get(13)?);
        Some(Self {
            source: SocketAddr::new(source, half(0)?),
            destination: SocketAddr::new(destination, half(2)?),
            sequence: word(4)?,
            acknowledged: if flags & ACK == 0 { None } else { Some(word(8)?) },
            syn: flags & SYN != 0,
            fin: flags & FIN != 0,
            rst: flags & RST != 0,
            payload: tcp.get(offset.max(20)..)?,
        })
    }
}

/// What stands behind `length` bytes is padding of the link layer. The kernel's largest packets have no length in them.
fn cut(packet: &[u8], length: usize) -> &[u8] {
    packet.get(..length).filter(|_| length > 0).unwrap_or(packet)
}

fn v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = packet.first_chunk::<20>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let offset = usize::from(header[0] & 15) * 4;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    if header[9] != TCP || fragment != 0 || offset < header.len() {
        return None;
    }
    let ip = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?).into());
    Some((ip(12)?, ip(16)?, cut(packet, length).get(offset..)?))
}

fn v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = packet.first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[6] != TCP {
        return None;
    }
    let ip = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?).into());
    let whole = if length == 0 { 0 } else { header.len() + length };
    Some((ip(8)?, ip(24)?, cut(packet, whole).get(header.len()..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_families_with_options_and_padding() {
        let mut tcp = [0u8; 24];
        tcp[..8].copy_from_slice(&[0x9c, 0x40, 0x18, 0xf1, 0, 0, 0, 7]);
        tcp[8..14].copy_from_slice(&[0, 0, 0, 9, 0x60, ACK | FIN]);
        let expected = |source: &str, destination: &str| Segment {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            sequence: 7,
            acknowledged: Some(9),
            syn: false,
            fin: true,
            rst: false,
            payload: b"GET",
        };
        let four =
            [&[0x45, 0, 0, 47, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 5, 10, 77, 0, 1][..], &tcp, b"GETpad"];
        let four = four.concat();
        assert_eq!(Segment::read(&four), Some(expected("10.77.0.5:40000", "10.77.0.1:6385")));
        let [source, destination]: [Ipv6Addr; 2] = ["fd77::5", "fd77::1"].map(|text| text.parse().unwrap());
        let head = [0x60, 0, 0, 0, 0, 27, 6, 64];
        let six = [&head[..], &source.octets(), &destination.octets(), &tcp, b"GETpad"].concat();
        assert_eq!(Segment::read(&six), Some(expected("[fd77::5]:40000", "[fd77::1]:6385")));
        for cut in 0..44 {
            assert_eq!(Segment::read(&four[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_survived(first in prop_oneof![Just(0x45u8), Just(0x60u8), any::<u8>()], rest in proptest::collection::vec(any::<u8>(), 0..120)) {
            let packet = [&[first][..], &rest].concat();
            if let Some(segment) = Segment::read(&packet) {
                prop_assert!(segment.payload.len() <= packet.len());
            }
        }
    }
}
