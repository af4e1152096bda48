//! How a recording went.

/// How the main program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It goes on: we left it, or it was one of several that we joined.
    Running,
}

/// What an engine tells when it is done.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended (with several processes joined: [`End::Running`]).
    pub end: End,
    /// What the user should know, once each.
    pub notes: Vec<String>,
    /// How long calls were delayed, all together, as the trace could not be written as fast.
    pub held: std::time::Duration,
    /// Whether we left while something was still running.
    pub detached: bool,
    /// Why the journal could not be written; the program was left to itself then.
    pub journal_error: Option<trace::Error>,
    /// What the engine knows that it did not see, a sentence each: the trace is incomplete.
    pub missing: Vec<String>,
}
