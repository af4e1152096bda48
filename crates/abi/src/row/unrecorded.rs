//! What changes files without a system call of its own: operations of asynchronous I/O, and stores
//! into mappings.

/// How a call can change files later without another system call, so that no record shows the
/// change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum UnrecordedEffect {
    /// It cannot.
    Nothing,
    /// The call submits as many asynchronous operations as its result says: those of the argument
    /// of kind `Iocbs`, or those in a submission queue, which may use any file that the process has
    /// open.
    AsyncOperations,
    /// If `bit` is set in the `u32` at byte `at` of the struct in argument `arg`, a kernel thread
    /// takes operations from the submission queue without further calls.
    KernelPolling { arg: u8, at: u8, bit: u32 },
    /// The call moves as many bytes as its result says to the file in argument `to`, and they are
    /// not captured.
    Transfer { to: u8 },
    /// The call maps the file in argument 4. Stores change the file if the flags in argument 3 say
    /// that the mapping is shared and the protection in argument 2 allows writing.
    Mapping,
    /// The call gives the mappings in the range from argument 0, argument 1 bytes long, the
    /// protection in argument 2, so that stores become possible or impossible.
    ProtectionChange,
    /// The call removes the mappings in the range from argument 0, argument 1 bytes long.
    Unmapping,
}
