//! One question of DNS and the answer to it (RFC 1035, 4). Only what is wanted of an answer is read: what else stands in it
//! cannot spoil it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

/// Class IN (RFC 1035, 3.2.4).
const INTERNET: u16 = 1;
/// What an answer over UDP may hold with EDNS: glibc's `RESOLV_EDNS_BUFFER_SIZE`.
const EDNS_PAYLOAD: u16 = 1200;
/// So many aliases are followed from a name to its addresses; BIND's limit.
const ALIASES: usize = 16;

/// So many records of an answer are read.
const RECORDS: u16 = 1024;

/// A question for one family of a name.
#[derive(Debug)]
pub struct Question {
    id: u16,
    name: Name,
    family: RecordType,
    bytes: Vec<u8>,
}

/// What a datagram or a message over TCP is.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// No answer to this question.
    Foreign,
    /// The rest comes over TCP.
    Truncated,
    /// The server does not answer it, by this RCODE; another one may.
    Refused(u8),
    /// What counts.
    Said(Said),
}

/// What a server says of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Its addresses, and how long they are good.
    Addresses(Vec<IpAddr>, Duration),
    /// It has none of that family; other records may have come.
    NoAddress { other_records: bool },
    /// There is no such name.
    NoName,
    /// Another RCODE. glibc asks nobody else then.
    Code(u8),
}

impl Question {
    /// `None` for what is too long for a name.
    pub fn new(name: &str, family: RecordType, edns: bool) -> Option<Self> {
        let labels = name.strip_suffix('.').unwrap_or(name).split('.').map(str::as_bytes);
        let name = Name::from_labels(labels).ok()?;
        let bytes = |edns| -> Result<_, ProtoError> {
            let mut message = Message::query();
            message.metadata.recursion_desired = true;
            message.add_query(Query::query(name.clone(), family));
            if edns {
                let mut options = Edns::new();
                options.set_max_payload(EDNS_PAYLOAD);
                message.set_edns(options);
            }
            Ok((message.metadata.id, message.to_vec()?))
        };
        let (id, bytes) = bytes(edns).ok()?;
        Some(Self { id, name, family, bytes })
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads what came. `over_tcp`: it cannot be truncated.
    pub fn read(&self, bytes: &[u8], over_tcp: bool) -> Answer {
        self.try_read(bytes, over_tcp).unwrap_or(Answer::Foreign)
    }

    fn try_read(&self, bytes: &[u8], over_tcp: bool) -> Result<Answer, DecodeError> {
        let mut decoder = BinDecoder::new(bytes);
        let mut header = [0; 6];
        for field in &mut header {
            *field = decoder.read_u16()?.unverified();
        }
        let [id, flags, questions, answers, _, additional] = header;
        if id != self.id || flags & 0x8000 == 0 || questions != 1 {
            return Ok(Answer::Foreign);
        }
        let name = Name::read(&mut decoder)?;
        let (family, class) = (decoder.read_u16()?.unverified(), decoder.read_u16()?.unverified());
        if name != self.name || RecordType::from(family) != self.family || class != INTERNET {
            return Ok(Answer::Foreign);
        }
        let (authoritative, truncated, recursive) =
            (flags & 0x400 != 0, flags & 0x200 != 0, flags & 0x80 != 0);
        Ok(match (flags & 0xf) as u8 {
            code @ (2 | 4 | 5) => Answer::Refused(code),
            // It leads to other servers, which is for resolvers that walk down from the root.
            0 if answers == 0 && !authoritative && !recursive && additional == 0 => Answer::Refused(0),
            _ if truncated && !over_tcp => Answer::Truncated,
            0 => Answer::Said(self.read_records(&mut decoder, answers)),
            3 => Answer::Said(Said::NoName),
            code => Answer::Said(Said::Code(code)),
        })
    }

    /// The addresses of the name and of what it is an alias for. What cannot be read ends the answer, and loses only itself.
    fn read_records(&self, decoder: &mut BinDecoder<'_>, count: u16) -> Said {
        let mut aliases = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..count.min(RECORDS) {
            match read_record(decoder) {
                Ok((owner, ttl, Record::Alias(target))) => aliases.push((owner, ttl, target)),
                Ok((owner, ttl, Record::Address(ip))) => addresses.push((owner, ttl, ip)),
                Ok((_, _, Record::Other)) => {}
                Err(_) => break,
            }
        }
        let (mut name, mut good) = (&self.name, Duration::from_secs(u32::MAX.into()));
        for _ in 0..ALIASES {
            let Some((_, ttl, target)) = aliases.iter().find(|(owner, ..)| owner == name) else { break };
            (name, good) = (target, good.min(*ttl));
        }
        let is_inet = self.family == RecordType::A;
        let mut ips = Vec::new();
        for (_, ttl, ip) in addresses.iter().filter(|(owner, _, ip)| owner == name && ip.is_ipv4() == is_inet)
        {
            good = good.min(*ttl);
            ips.push(*ip);
        }
        ips.sort_unstable();
        ips.dedup();
        if ips.is_empty() {
            return Said::NoAddress { other_records: count > 0 };
        }
        Said::Addresses(ips, good)
    }
}

enum Record {
    Address(IpAddr),
    Alias(Name),
    Other,
}

fn read_record(decoder: &mut BinDecoder<'_>) -> Result<(Name, Duration, Record), DecodeError> {
    let owner = Name::read(decoder)?;
    let kind = RecordType::from(decoder.read_u16()?.unverified());
    let class = decoder.read_u16()?.unverified();
    let ttl = Duration::from_secs(decoder.read_u32()?.unverified().into());
    let length = decoder.read_u16()?.unverified();
    let start = u16::try_from(decoder.index()).unwrap_or(u16::MAX);
    let data = decoder.read_slice(length.into())?.unverified();
    let record = match (kind, class) {
        (RecordType::A, INTERNET) => {
            <[u8; 4]>::try_from(data).ok().map(|ip| Record::Address(Ipv4Addr::from(ip).into()))
        }
        (RecordType::AAAA, INTERNET) => {
            <[u8; 16]>::try_from(data).ok().map(|ip| Record::Address(Ipv6Addr::from(ip).into()))
        }
        // The name may point back into the message.
        (RecordType::CNAME, INTERNET) => Name::read(&mut decoder.clone(start)).ok().map(Record::Alias),
        _ => None,
    };
    Ok((owner, ttl, record.unwrap_or(Record::Other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The question with an answer to it: an alias that points to the name asked for, a TXT record, the alias's address.
    fn answered() -> (Question, Vec<u8>) {
        let question = Question::new("api.lab", RecordType::A, false).unwrap();
        let mut answer = question.bytes.clone();
        answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 3]);
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'x', 0xc0, 12]);
        answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9, 0, 2, 1, b't']);
        answer.extend([1, b'X', 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]);
        (question, answer)
    }

    #[test]
    fn an_answer_gives_addresses_and_their_time_to_live() {
        let (question, mut answer) = answered();
        let said = Said::Addresses(vec!["192.0.2.1".parse().unwrap()], Duration::from_secs(30));
        assert_eq!(question.read(&answer, false), Answer::Said(said));
        answer[2] |= 2;
        assert_eq!(question.read(&answer, false), Answer::Truncated);
        answer[3] |= 5;
        assert_eq!(question.read(&answer, false), Answer::Refused(5));
        for (at, bit) in [(0, 1), (1, 1), (2, 0x80), (5, 3), (13, 1), (21, 0x1c), (23, 2)] {
            let (question, mut answer) = answered();
            answer[at] ^= bit;
            assert_eq!(question.read(&answer, false), Answer::Foreign, "byte {at}");
        }
    }

    #[test]
    fn whatever_is_damaged_or_missing_the_answer_is_read() {
        let (question, answer) = answered();
        for end in 0..answer.len() {
            let _ = question.read(&answer[..end], false);
            for byte in [0, 0x3f, 0xc0, 0xff] {
                let mut damaged = answer.clone();
                damaged[end] = byte;
                let _ = question.read(&damaged, true);
            }
        }
        // A record that is cut off spoils nothing before it.
        let (question, mut answer) = answered();
        answer[7] = 9;
        answer.extend([0x3f, b'x']);
        assert!(matches!(question.read(&answer, false), Answer::Said(Said::Addresses(..))));
    }

    #[test]
    fn any_name_that_fits_can_be_asked_for() {
        for name in ["ironic_api", "xn--a", "-a", "a.", "A.b-"] {
            assert!(Question::new(name, RecordType::AAAA, true).is_some(), "{name}");
        }
        for name in ["a".repeat(64), "a.".repeat(128)] {
            assert!(Question::new(&name, RecordType::A, false).is_none(), "{name}");
        }
    }
}
