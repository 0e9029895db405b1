//! A tracepoint's `format` file in tracefs (Documentation/trace/events.rst, "Event formats"): where its record keeps
//! which field.

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// From the start of the record, in bytes.
    pub offset: u32,
    pub size: u32,
}

/// Finds a field by its name; `None` where the file has no such field, or tells it in a way that is not understood.
pub fn field(format: &str, name: &str) -> Option<Field> {
    format.lines().find_map(|line| {
        let (declaration, places) = line.trim().strip_prefix("field:")?.split_once(';')?;
        // `__u8 saddr_v6[16]`, `const void * skaddr`, `int oldstate`
        let declared = declaration.split_whitespace().next_back()?;
        let declared = declared.split('[').next()?.trim_start_matches('*');
        if declared != name {
            return None;
        }
        let number = |key: &str| {
            let mut parts = places.split(';').map(str::trim);
            parts.find_map(|part| part.strip_prefix(key)?.parse().ok())
        };
        Some(Field { offset: number("offset:")?, size: number("size:")? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Captured: `cat /sys/kernel/tracing/events/sock/inet_sock_set_state/format` on Linux 6.18, without its last line.
    const NEW: &str = include_str!("fixtures/inet_sock_set_state-6.18.txt");
    /// The same on Linux 4.19, whose protocol has one byte (kernel commit cfe6b4afab1e widened it in 5.6).
    const OLD: &str = "name: inet_sock_set_state\nID: 1134\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;\n\
        \tfield:__u8 protocol;\toffset:30;\tsize:1;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:31;\tsize:4;\tsigned:0;\n";

    fn at(offset: u32, size: u32) -> Option<Field> {
        Some(Field { offset, size })
    }

    #[test]
    fn fields_of_two_kernels() {
        assert_eq!(field(NEW, "skaddr"), at(8, 8));
        assert_eq!(field(NEW, "newstate"), at(20, 4));
        assert_eq!(field(NEW, "protocol"), at(30, 2));
        assert_eq!(field(NEW, "saddr"), at(32, 4));
        assert_eq!(field(NEW, "daddr_v6"), at(56, 16));
        assert_eq!(field(OLD, "protocol"), at(30, 1));
        assert_eq!(field(OLD, "saddr"), at(31, 4));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(field(NEW, "reason"), None);
        assert_eq!(field(NEW, "v6"), None);
        assert_eq!(field("", "skaddr"), None);
        assert_eq!(field("\tfield:int x;\toffset:-1;\tsize:4;", "x"), None);
        assert_eq!(field("\tfield:int x;\toffset:8;", "x"), None);
        assert_eq!(field("\tfield:;\toffset:8;\tsize:4;", "x"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ -~\n\t]{0,200}", name in "[a-z_]{0,8}") {
            let _ = field(&text, &name);
        }

        #[test]
        fn what_is_written_is_read(offset in 0u32.., size in 0u32.., name in "[a-z_]{1,12}") {
            let text = format!("\tfield:__u8 {name}[4];\toffset:{offset};\tsize:{size};\tsigned:0;\n");
            prop_assert_eq!(field(&text, &name), at(offset, size));
        }
    }
}
