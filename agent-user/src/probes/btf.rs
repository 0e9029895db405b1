//! The kernel's own type information, as far as it is needed: where a structure keeps a member
//! (Documentation/bpf/btf.rst).

use thiserror::Error;

/// `BTF_MAGIC` (include/uapi/linux/btf.h).
const MAGIC: u16 = 0xeb9f;
/// The length of `struct btf_type`.
const TYPE_LENGTH: usize = 12;
/// The length of `struct btf_member`.
const MEMBER_LENGTH: usize = 12;
/// Anonymous members may be nested so deep; the kernel's own are at most 4.
const DEPTH: usize = 16;

/// BTF that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// It does not begin with a header of this machine's byte order, or its sections lie outside of it.
    #[error("the header is wrong")]
    Header,
    /// A type is of a kind that is newer than this reader, whose length is not known.
    #[error("type {id} has the unknown kind {kind}")]
    Kind {
        /// The type's number.
        id: usize,
        kind: u32,
    },
    /// It ends inside a type.
    #[error("type {0} is cut off")]
    Truncated(usize),
}

/// `BTF_KIND_*`, those that are distinguished here.
mod kind {
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const TYPE_TAG: u32 = 18;
    pub const PTR: u32 = 2;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
}

/// What a program can be attached to, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A function.
    Function(&'a str),
    /// The type of a tracepoint's arguments, `btf_trace_NAME`.
    Tracepoint(&'a str),
}

/// Such a target of this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The type's number.
    id: usize,
    /// `struct btf_type.info`.
    info: u32,
    name: String,
}

/// Parsed type information.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; type 0 is void and has no place.
    places: Vec<u32>,
    /// Where each structure that has a name begins: a tenth of all types.
    structures: Vec<u32>,
}

/// One type's head.
#[derive(Debug, Clone, Copy)]
struct Head {
    name: u32,
    kind: u32,
    members: usize,
    /// Member offsets are in the lower 24 bits only.
    bit_fields: bool,
    /// Of a typedef and the like.
    refers_to: u32,
}

impl<'a> Btf<'a> {
    /// Reads the header and finds where each type begins.
    ///
    /// # Errors
    /// Where it is no BTF, cut off, or newer than this reader.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        if half(bytes, 0) != Some(MAGIC) {
            return Err(BtfError::Header);
        }
        let section = |at: usize| {
            let begin = (word(bytes, 4)? as usize).checked_add(word(bytes, at)? as usize)?;
            bytes.get(begin..begin.checked_add(word(bytes, at + 4)? as usize)?)
        };
        let types = section(8).ok_or(BtfError::Header)?;
        let strings = section(16).ok_or(BtfError::Header)?;
        let mut btf =
            Self { types, strings, places: Vec::with_capacity(types.len() / 32), structures: Vec::new() };
        let mut place = 0;
        while place < types.len() {
            let id = btf.places.len() + 1;
            let head = head(types, place).ok_or(BtfError::Truncated(id))?;
            let begin = u32::try_from(place).map_err(|_| BtfError::Header)?;
            btf.places.push(begin);
            if head.kind == kind::STRUCT && head.name != 0 {
                btf.structures.push(begin);
            }
            place += TYPE_LENGTH + tail(head).ok_or(BtfError::Kind { id, kind: head.kind })?;
            if place > types.len() {
                return Err(BtfError::Truncated(id));
            }
        }
        Ok(btf)
    }

    /// How far from the start of `struct NAME` a member lies, in bytes; the path goes through members that are
    /// structures themselves. `None` where this kernel has no such member, or it is a bit field.
    pub fn member_offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut place = self.structure(structure)?;
        let mut bits = 0_u32;
        for (depth, name) in path.iter().enumerate() {
            let (member, offset) = self.member(place, name, DEPTH)?;
            bits = bits.checked_add(offset)?;
            if depth + 1 < path.len() {
                place = self.resolved(member)?;
            }
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// How many arguments a tracepoint hands to a program; `None` where this kernel has none of that name.
    pub fn arguments(&self, tracepoint: &str) -> Option<usize> {
        let (_, place) = self.targets(&[Target::Tracepoint(tracepoint)]).into_iter().next()??;
        let pointer = head(self.types, self.resolved(head(self.types, place)?.refers_to)?)?;
        let function = head(self.types, self.resolved(pointer.refers_to)?)?;
        // The first one of the function is the tracepoint's own.
        (pointer.kind == kind::PTR && function.kind == kind::FUNC_PROTO)
            .then(|| function.members.saturating_sub(1))
    }

    /// What this kernel has of these, for an [`excerpt`].
    pub fn find(&self, wanted: &[Target<'_>]) -> Vec<Found> {
        let found = wanted.iter().zip(self.targets(wanted)).filter_map(|(target, found)| {
            let (id, place) = found?;
            Some(Found { id, info: word(self.types, place + 4)?, name: target.type_name() })
        });
        found.collect()
    }

    /// The number and the place of each of these, the first of its name.
    fn targets(&self, wanted: &[Target<'_>]) -> Vec<Option<(usize, usize)>> {
        let names: Vec<_> = wanted.iter().map(Target::type_name).collect();
        let mut found = vec![None; wanted.len()];
        for (index, place) in self.places.iter().enumerate() {
            let place = *place as usize;
            let Some(head) = head(self.types, place) else { continue };
            if !matches!(head.kind, kind::FUNC | kind::TYPEDEF) {
                continue;
            }
            for ((target, name), found) in wanted.iter().zip(&names).zip(&mut found) {
                if found.is_none() && head.kind == target.kind() && self.is_named(head.name, name) {
                    *found = Some((index + 1, place));
                }
            }
        }
        found
    }

    fn structure(&self, name: &str) -> Option<usize> {
        let mut places = self.structures.iter().map(|place| *place as usize);
        places.find(|place| head(self.types, *place).is_some_and(|head| self.is_named(head.name, name)))
    }

    /// A member's type and its offset in bits, also out of anonymous structures and unions.
    fn member(&self, structure: usize, name: &str, depth: usize) -> Option<(u32, u32)> {
        let head = head(self.types, structure)?;
        if depth == 0 || !matches!(head.kind, kind::STRUCT | kind::UNION) {
            return None;
        }
        (0..head.members).find_map(|index| {
            let place = structure + TYPE_LENGTH + index * MEMBER_LENGTH;
            let (member_name, member_type) = (word(self.types, place)?, word(self.types, place + 4)?);
            let offset = word(self.types, place + 8)?;
            let offset = if head.bit_fields { offset & 0x00ff_ffff } else { offset };
            if self.is_named(member_name, name) {
                let is_bit_field = head.bit_fields && word(self.types, place + 8)? >> 24 != 0;
                return (!is_bit_field).then_some((member_type, offset));
            }
            if !self.is_named(member_name, "") {
                return None;
            }
            let inner = self.resolved(member_type)?;
            let (found, inside) = self.member(inner, name, depth - 1)?;
            Some((found, offset.checked_add(inside)?))
        })
    }

    /// The place of a type, through typedefs and qualifiers.
    fn resolved(&self, mut id: u32) -> Option<usize> {
        for _ in 0..DEPTH {
            let place = *self.places.get(usize::try_from(id.checked_sub(1)?).ok()?)? as usize;
            let head = head(self.types, place)?;
            match head.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = head.refers_to;
                }
                _ => return Some(place),
            }
        }
        None
    }

    /// Whether the string at an offset is this one.
    fn is_named(&self, offset: u32, name: &str) -> bool {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&0))
    }
}

/// Type information that has nothing but these, each with the number that it has in the whole: a twentieth of that.
#[cfg(any(test, feature = "ebpf"))]
pub fn excerpt(found: &[Found]) -> Vec<u8> {
    /// The length of `struct btf_header`.
    const HEADER_LENGTH: usize = 24;
    /// `BTF_KIND_FWD`, the shortest kind that says nothing, stands for all others.
    const FWD: u32 = 7;
    let types = found.iter().map(|one| one.id).max().unwrap_or(0) * TYPE_LENGTH;
    let strings = 1 + found.iter().map(|one| one.name.len() + 1).sum::<usize>();
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes();
    // At once: memory that grows is there twice.
    let mut bytes = Vec::with_capacity(HEADER_LENGTH + types + strings);
    bytes.extend(MAGIC.to_ne_bytes());
    bytes.extend([1, 0]);
    bytes.extend([HEADER_LENGTH, 0, types, types, strings].into_iter().flat_map(word));
    let other = [0, FWD << 24, 0].map(u32::to_ne_bytes).concat();
    while bytes.len() < HEADER_LENGTH + types {
        bytes.extend_from_slice(&other);
    }
    bytes.push(0);
    for Found { id, info, name } in found {
        let head = [word(bytes.len() - HEADER_LENGTH - types), info.to_ne_bytes()].concat();
        let place = HEADER_LENGTH + id.saturating_sub(1) * TYPE_LENGTH;
        if let Some(place) = bytes.get_mut(place..place + head.len()) {
            place.copy_from_slice(&head);
        }
        bytes.extend(name.bytes().chain([0]));
    }
    bytes
}

impl Target<'_> {
    fn kind(&self) -> u32 {
        match self {
            Self::Function(_) => kind::FUNC,
            Self::Tracepoint(_) => kind::TYPEDEF,
        }
    }

    fn type_name(&self) -> String {
        match self {
            Self::Function(name) => (*name).to_owned(),
            Self::Tracepoint(name) => format!("btf_trace_{name}"),
        }
    }
}

fn head(types: &[u8], place: usize) -> Option<Head> {
    let info = word(types, place + 4)?;
    Some(Head {
        name: word(types, place)?,
        kind: info >> 24 & 0x1f,
        members: (info & 0xffff) as usize,
        bit_fields: info >> 31 == 1,
        refers_to: word(types, place + 8)?,
    })
}

/// How long what follows a type's head is, in bytes.
fn tail(head: Head) -> Option<usize> {
    Some(match head.kind {
        1 | 14 | 17 => 4,                     // INT, VAR, DECL_TAG
        3 => 12,                              // ARRAY
        4 | 5 | 15 | 19 => 12 * head.members, // STRUCT, UNION, DATASEC, ENUM64
        6 | 13 => 8 * head.members,           // ENUM, FUNC_PROTO
        2 | 7..=12 | 16 | 18 => 0,            // PTR, FWD to FUNC, FLOAT, TYPE_TAG
        _ => return None,
    })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a compiler would write, by hand: strings and types as they come.
    #[derive(Default)]
    struct Writer {
        strings: Vec<u8>,
        types: Vec<u8>,
    }

    impl Writer {
        fn name(&mut self, name: &str) -> u32 {
            if self.strings.is_empty() {
                self.strings.push(0);
            }
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len();
            self.strings.extend(name.bytes().chain([0]));
            u32::try_from(at).unwrap()
        }

        fn words(&mut self, words: &[u32]) {
            self.types.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        }

        fn record(&mut self, kind: u32, name: &str, bit_fields: bool, members: &[(&str, u32, u32)]) {
            let name = self.name(name);
            let count = u32::try_from(members.len()).unwrap();
            self.words(&[name, kind << 24 | u32::from(bit_fields) << 31 | count, 64]);
            for (member, of, bits) in members {
                let member = self.name(member);
                self.words(&[member, *of, *bits]);
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
            let mut bytes = MAGIC.to_ne_bytes().to_vec();
            bytes.extend([1, 0]);
            bytes.extend([24, 0, types, types, strings].iter().flat_map(|word| word.to_ne_bytes()));
            bytes.extend(self.types.iter().chain(&self.strings));
            bytes
        }
    }

    /// struct sock { struct sock_common __sk_common; union { int sk_err; const volatile int x; }; unsigned flag:8 }
    fn sample() -> Vec<u8> {
        let mut writer = Writer::default();
        let int = writer.name("int");
        writer.words(&[int, 1 << 24, 4, 0x20]); // 1
        writer.record(kind::STRUCT, "", false, &[("net", 1, 0)]); // 2
        let typedef = writer.name("possible_net_t");
        writer.words(&[typedef, kind::TYPEDEF << 24, 2]); // 3
        writer.record(kind::STRUCT, "sock_common", false, &[("pad", 1, 0), ("skc_net", 3, 384)]); // 4
        writer.record(kind::UNION, "", false, &[("x", 1, 0), ("sk_err", 1, 32)]); // 5
        writer.words(&[0, kind::CONST << 24, 5]); // 6
        let members = [("__sk_common", 4, 0), ("", 6, 512), ("flag", 1, 8 << 24 | 576)];
        writer.record(kind::STRUCT, "sock", true, &members); // 7
        writer.record(kind::STRUCT, "socket", false, &[("sk", 1, 192)]); // 8
        writer.bytes()
    }

    #[test]
    fn members_through_structures_typedefs_and_anonymous_unions() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.member_offset("sock", &["__sk_common", "skc_net"]), Some(48));
        assert_eq!(btf.member_offset("sock", &["__sk_common", "skc_net", "net"]), Some(48));
        assert_eq!(btf.member_offset("sock", &["sk_err"]), Some(68));
        assert_eq!(btf.member_offset("socket", &["sk"]), Some(24));
        for (structure, path) in [
            ("sock", &["flag"][..]),
            ("sock", &["sk_er"]),
            ("sock", &["sk_err", "deeper"]),
            ("soc", &["sk"]),
            ("", &["x"]),
        ] {
            assert_eq!(btf.member_offset(structure, path), None, "{structure} {path:?}");
        }
    }

    /// typedef void (*btf_trace_reset)(void *, struct sock *, int); a function; and a typedef of the function's name.
    fn targets() -> Vec<u8> {
        let mut writer = Writer::default();
        let int = writer.name("int");
        writer.words(&[int, 1 << 24, 4, 0x20]); // 1
        writer.words(&[0, kind::FUNC_PROTO << 24 | 3, 0, 0, 1, 0, 1, 0, 1]); // 2
        writer.words(&[0, kind::PTR << 24, 2]); // 3
        let (alias, trace, function) =
            (writer.name("connect"), writer.name("btf_trace_reset"), writer.name("connect"));
        writer.words(&[alias, kind::TYPEDEF << 24, 1]); // 4
        writer.words(&[trace, kind::TYPEDEF << 24, 3]); // 5
        writer.words(&[function, kind::FUNC << 24 | 1, 2]); // 6
        writer.words(&[0, kind::PTR << 24, 1]); // 7
        writer.bytes()
    }

    #[test]
    fn an_excerpt_keeps_the_numbers() {
        let bytes = targets();
        let wanted =
            [Target::Function("connect"), Target::Tracepoint("reset"), Target::Tracepoint("connect")];
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(
            btf.targets(&wanted).iter().map(|one| one.map(|(id, _)| id)).collect::<Vec<_>>(),
            [Some(6), Some(5), None]
        );
        assert_eq!((btf.arguments("reset"), btf.arguments("connect")), (Some(2), None));
        let excerpt = excerpt(&btf.find(&wanted));
        let kept = Btf::parse(&excerpt).unwrap();
        assert_eq!(kept.places.len(), 6, "nothing behind the last");
        let ids = |btf: &Btf<'_>| {
            btf.targets(&wanted).into_iter().map(|one| one.map(|(id, _)| id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&kept), ids(&btf));
        assert_eq!(super::excerpt(&btf.find(&[])).len(), 25);
    }

    #[test]
    fn broken_ones_are_refused() {
        let bytes = sample();
        assert_eq!(Btf::parse(&[]).unwrap_err(), BtfError::Header);
        assert_eq!(Btf::parse(&bytes[..bytes.len() - 1]).unwrap_err(), BtfError::Header);
        let mut unknown = bytes.clone();
        unknown[24 + 7] = 31;
        assert_eq!(Btf::parse(&unknown).unwrap_err(), BtfError::Kind { id: 1, kind: 31 });
        let mut long = bytes;
        long[24 + 16 + 4] = 200;
        assert!(matches!(Btf::parse(&long), Err(BtfError::Kind { .. } | BtfError::Truncated(_))));
    }

    #[test]
    fn a_type_that_contains_itself_ends() {
        let mut writer = Writer::default();
        writer.words(&[0, kind::TYPEDEF << 24, 1]); // 1, of itself
        writer.record(kind::STRUCT, "loop", false, &[("", 1, 0), ("", 3, 0)]); // 2
        writer.record(kind::STRUCT, "", false, &[("", 3, 0)]); // 3, in itself
        let bytes = writer.bytes();
        assert_eq!(Btf::parse(&bytes).unwrap().member_offset("loop", &["x"]), None);
    }

    #[test]
    fn the_running_kernel() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln!("SKIP: this kernel has no BTF");
            return;
        };
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.member_offset("sock", &["sk_err"]).is_some());
        assert!(btf.member_offset("sk_buff", &["dev"]).is_some());
        assert!(btf.member_offset("net", &["ns", "inum"]).is_some());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(btf) = Btf::parse(&bytes) {
                let _ = btf.member_offset("sock", &["sk_err"]);
                let _ = (btf.arguments("reset"), excerpt(&btf.find(&[Target::Function("connect")])));
            }
        }

        #[test]
        fn a_flipped_byte_of_targets_does_not_panic(at in 0usize..400, value: u8) {
            let mut bytes = targets();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(btf) = Btf::parse(&bytes) {
                let _ = (btf.arguments("reset"), excerpt(&btf.find(&[Target::Function("connect")])));
            }
        }

        #[test]
        fn a_flipped_byte_does_not_panic(at in 0usize..400, value: u8) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(btf) = Btf::parse(&bytes) {
                let _ = btf.member_offset("sock", &["__sk_common", "skc_net"]);
                let _ = btf.member_offset("sock", &["sk_err"]);
            }
        }
    }
}
