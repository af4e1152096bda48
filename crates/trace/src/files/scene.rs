//! What the world says of one call's descriptors and directories: all that the model needs of it.

/// A descriptor that a call was given.
#[derive(Clone, Debug, Default)]
pub struct Descriptor {
    /// The open file.
    pub file: u64,
    /// Where data move: the call's own offset, or the descriptor's; `None` if nobody knows.
    pub offset: Option<u64>,
    /// Its path when it was opened.
    pub path: Vec<u8>,
    /// It is a file on a real file system.
    pub performed: bool,
}

/// The surroundings of one call.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The descriptors among the arguments.
    pub fds: [Option<Descriptor>; 6],
    /// Descriptors that path arguments mean (`/proc/self/fd/3`, `/dev/stdin`).
    pub magic: [Option<Descriptor>; 6],
    /// The open file behind the resulting descriptor.
    pub opened: Option<u64>,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// The root directory.
    pub root: Vec<u8>,
    /// The umask.
    pub umask: u32,
}
