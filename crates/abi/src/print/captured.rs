//! What was captured of a call, as the printer needs it.

/// What the captured bytes of an argument are. The names are those of a record's payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CapturedKind {
    /// Data that the call transferred.
    Data,
    /// A struct or another buffer.
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
    /// Whether the buffer had more bytes than were captured.
    pub more: bool,
}

/// Access to what was captured of one call.
pub trait Captured {
    /// Returns what was captured for argument `arg`: when the call returned if `after` is true,
    /// else at entry. If it was captured only once, that is returned in both cases.
    fn payload(&self, arg: u8, part: CapturedKind, after: bool) -> Option<Payload<'_>>;
    /// Returns the text to print in angle brackets after the descriptor in argument `arg`, or
    /// `None`.
    fn note(&self, arg: u8) -> Option<String> {
        let _ = arg;
        None
    }
}
