//! The classic BPF program (bpf(4), Documentation/networking/filter.rst) that lets the API's packets through. It sees a
//! packet from its network header on, as a socket of type SOCK_DGRAM does.

use std::net::{IpAddr, SocketAddr};

use socket2::SockFilter;

// include/uapi/linux/bpf_common.h and filter.h.
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const LOAD_HALF_BEHIND: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
const LOAD_HEADER_LENGTH: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the protocol behind the link layer, without the tags of VLANs that the kernel took off.
const PROTOCOL: u32 = 0xffff_f000;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;
/// More flag bits would be a later fragment.
const FRAGMENT_OFFSET: u32 = 0x1fff;

/// One instruction: code, jump where true, jump where false, operand.
type Instruction = (u16, u8, u8, u32);

const DROP: Instruction = (RETURN, 0, 0, 0);
const PASS: Instruction = (RETURN, 0, 0, u32::MAX);

/// Packets of TCP from and to these; none where there are none.
pub fn filter(endpoints: &[SocketAddr]) -> Vec<SockFilter> {
    let instructions = instructions(endpoints);
    instructions.into_iter().map(|(code, yes, no, operand)| SockFilter::new(code, yes, no, operand)).collect()
}

fn instructions(endpoints: &[SocketAddr]) -> Vec<Instruction> {
    let four: Vec<_> = endpoints.iter().flat_map(|endpoint| v4(*endpoint)).collect();
    let six: Vec<_> = endpoints.iter().flat_map(|endpoint| v6(*endpoint)).collect();
    let mut program = vec![
        (LOAD_WORD, 0, 0, PROTOCOL),
        (IF_EQUAL, 2, 0, IPV4),
        (IF_EQUAL, 0, 8, IPV6),
        // Over the part of IPv4, which may be long.
        (JUMP, 0, 0, u32::try_from(9 + four.len()).unwrap_or(u32::MAX)),
        (LOAD_BYTE, 0, 0, 9),
        (IF_EQUAL, 0, 5, TCP),
        (LOAD_HALF, 0, 0, 6),
        (IF_ANY_BIT, 3, 0, FRAGMENT_OFFSET),
        (LOAD_HEADER_LENGTH, 0, 0, 0),
        (JUMP, 0, 0, 2),
        DROP,
        DROP,
    ];
    program.extend(four);
    program.push(DROP);
    program.extend([(LOAD_BYTE, 0, 0, 6), (IF_EQUAL, 1, 0, TCP), DROP]);
    program.extend(six);
    program.push(DROP);
    program
}

/// The packets to it and from it; the index register has the length of the IPv4 header.
fn v4(endpoint: SocketAddr) -> Vec<Instruction> {
    let IpAddr::V4(ip) = endpoint.ip() else { return Vec::new() };
    let (address, port) = (u32::from(ip), u32::from(endpoint.port()));
    let one = |address_at, port_at| {
        [
            (LOAD_WORD, 0, 0, address_at),
            (IF_EQUAL, 0, 3, address),
            (LOAD_HALF_BEHIND, 0, 0, port_at),
            (IF_EQUAL, 0, 1, port),
            PASS,
        ]
    };
    [one(16, 2), one(12, 0)].concat()
}

/// The same behind a plain IPv6 header; what has extension headers is not seen.
fn v6(endpoint: SocketAddr) -> Vec<Instruction> {
    let IpAddr::V6(ip) = endpoint.ip() else { return Vec::new() };
    let [a, b, c, d, e, f, g, h] = ip.segments().map(u32::from);
    let words = [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h];
    let one = |address_at: u32, port_at| {
        let mut program = Vec::new();
        for (word, at, rest) in [(words[0], 0, 9), (words[1], 4, 7), (words[2], 8, 5), (words[3], 12, 3)] {
            program.extend([(LOAD_WORD, 0, 0, address_at + at), (IF_EQUAL, 0, rest, word)]);
        }
        program.extend([(LOAD_HALF, 0, 0, port_at), (IF_EQUAL, 0, 1, u32::from(endpoint.port())), PASS]);
        program
    };
    [one(24, 42), one(8, 40)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn passes(program: &[Instruction], protocol: u32, packet: &[u8]) -> bool {
        let (mut accumulator, mut index, mut at) = (0, 0, 0);
        let load = |place: u32, length: usize| {
            let bytes = packet.get(place as usize..place as usize + length)?;
            Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        };
        loop {
            let (code, yes, no, operand) = program[at];
            at += 1;
            let mut loaded = |value: Option<u32>| value.map(|value| accumulator = value).is_some();
            let goes_on = match code {
                LOAD_WORD if operand == PROTOCOL => loaded(Some(protocol)),
                LOAD_WORD => loaded(load(operand, 4)),
                LOAD_HALF => loaded(load(operand, 2)),
                LOAD_BYTE => loaded(load(operand, 1)),
                LOAD_HALF_BEHIND => loaded(load(index + operand, 2)),
                LOAD_HEADER_LENGTH => {
                    index = load(operand, 1).unwrap_or_default() % 16 * 4;
                    true
                }
                IF_EQUAL | IF_ANY_BIT => {
                    let holds =
                        if code == IF_EQUAL { accumulator == operand } else { accumulator & operand != 0 };
                    at += usize::from(if holds { yes } else { no });
                    true
                }
                JUMP => {
                    at += operand as usize;
                    true
                }
                RETURN => return operand != 0,
                other => panic!("instruction {other:#x}"),
            };
            if !goes_on {
                return false; // Beyond the packet.
            }
        }
    }

    fn packet(source: &str, destination: &str, protocol: u8) -> (u32, Vec<u8>) {
        let [source, destination] = [source, destination].map(|text| text.parse::<SocketAddr>().unwrap());
        let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // With one word of options.
                let head = [0x46, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
                (IPV4, [&head[..], &source.octets(), &destination.octets(), &[0; 4], &ports].concat())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let head = [0x60, 0, 0, 0, 0, 0, protocol, 64];
                (IPV6, [&head[..], &source.octets(), &destination.octets(), &ports].concat())
            }
            _ => unreachable!("one family"),
        }
    }

    #[test]
    fn only_the_apis_packets_pass() {
        let endpoints = ["10.77.0.1:6385", "10.77.0.2:80", "[fd77::1]:6385", "[fd77::2]:80"];
        let program = instructions(&endpoints.map(|text| text.parse().unwrap()));
        let passes = |(protocol, bytes): (u32, Vec<u8>)| passes(&program, protocol, &bytes);
        for (client, server, other) in [
            ("10.77.0.5:40000", "10.77.0.2:80", "10.77.0.2:6385"),
            ("[fd77::5]:40000", "[fd77::2]:80", "[fd77::2]:6385"),
        ] {
            assert!(passes(packet(client, server, 6)) && passes(packet(server, client, 6)), "{server}");
            assert!(!passes(packet(client, other, 6)) && !passes(packet(other, client, 6)), "{other}");
            assert!(!passes(packet(client, server, 17)), "UDP");
        }
        let (_, mut fragment) = packet("10.77.0.5:40000", "10.77.0.1:6385", 6);
        assert!(passes((IPV4, fragment.clone())));
        fragment[7] = 9;
        assert!(!passes((IPV4, fragment)));
        assert!(!passes((0x0806, vec![0; 60])), "ARP");
        assert!(!passes((IPV4, vec![0x45])), "cut off");
    }

    #[test]
    fn without_endpoints_nothing_passes_and_with_many_it_is_not_too_long() {
        let (protocol, bytes) = packet("10.77.0.5:40000", "10.77.0.1:6385", 6);
        assert!(!passes(&instructions(&[]), protocol, &bytes));
        let (protocol, bytes) = packet("[fd77::5]:40000", "[fd77::1]:6385", 6);
        assert!(!passes(&instructions(&[]), protocol, &bytes));
        let many: Vec<SocketAddr> =
            (0..32).map(|last| SocketAddr::new([10, 0, 0, last].into(), 80)).collect();
        let many = [many.as_slice(), &["[fd77::1]:6385".parse().unwrap()]].concat();
        assert!(passes(&instructions(&many), protocol, &bytes), "behind many of the other family");
        assert!(instructions(&many).len() < 4096, "BPF_MAXINSNS");
    }
}
