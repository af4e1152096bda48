//! What is no system call of its own: operations of rings, stores into mappings.

/// What a call lets happen to files that is no system call, so that no record tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Unseen {
    /// Nothing.
    Nothing,
    /// As many operations as the result says are begun: those of the argument of kind `Iocbs`, or
    /// of a ring, which can mean any file that the process has open.
    Operations,
    /// If this bit of the `u32` at byte `at` of the struct in argument `arg` is set, the kernel
    /// looks for operations by itself.
    Polling { arg: u8, at: u8, bit: u32 },
    /// Stores into memory that stands for a file: argument 4, if the flags in argument 3 say that
    /// the mapping is shared and the protection in argument 2 that it can be written.
    Stores,
    /// The same for what is mapped from argument 0, argument 1 bytes, by the protection in
    /// argument 2.
    StoresFromNowOn,
    /// What is mapped from argument 0, argument 1 bytes, is no longer.
    StoresNoMore,
}
