//! STUB until merged.
macro_rules! labels { ($name:ident { $($v:ident = $l:literal,)+ }) => {
    #[allow(missing_docs)] #[derive(Debug, Clone, Copy, PartialEq, Eq)] pub enum $name { $($v,)+ }
    #[allow(missing_docs)] impl $name { pub const ALL: &'static [Self] = &[$(Self::$v,)+]; pub fn as_str(self) -> &'static str { match self { $(Self::$v => $l,)+ } } }
} }
labels!(LookupResult { Ok = "ok", MaskedToken = "masked_token", Held="held", NotFound="not_found", Conflict="conflict", ClientError="client_error", ServerError="server_error", Timeout="timeout", ConnectError="connect_error", TlsError="tls_error", InvalidResponse="invalid_response", });
labels!(HeartbeatResult { Accepted = "accepted", Held="held", PinnedRefused="pinned_refused", TokenRefused="token_refused", TlsRequired="tls_required", NotFound="not_found", Conflict="conflict", ClientError="client_error", ServerError="server_error", Timeout="timeout", ConnectError="connect_error", TlsError="tls_error", });
