//! What the printer is given of a call.

/// What was captured for an argument; the names are those of a record's payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CapturedKind {
    /// Bulk data.
    Data,
    /// The bytes of a struct or buffer.
    Bytes,
    /// A string without its NUL.
    String,
    /// Strings, each with its NUL.
    StrVec,
    /// `struct iovec[]`.
    Iovecs,
    /// `struct msghdr` or `struct mmsghdr[]`.
    Msg,
    /// The `msg_name`s.
    Name,
    /// The `msg_control`s.
    Control,
    /// `struct iocb[]`.
    Iocbs,
}

/// Captured bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// There were more than these.
    pub more: bool,
}

/// Where the printer finds what was captured of one call.
pub trait Captured {
    /// What was captured for `arg`: the one read after the call if `after`, else the one read
    /// before it. Where only one was captured, either gives it.
    fn payload(&self, arg: u8, part: CapturedKind, after: bool) -> Option<Payload<'_>>;
    /// What stands behind a descriptor's number in angle brackets; nothing unless asked for.
    fn note(&self, arg: u8) -> Option<String> {
        let _ = arg;
        None
    }
}
