//! Options that several commands share.

/// The trace that a reading command reads.
#[derive(clap::Args, Debug)]
pub struct TraceArg {
    /// The trace, a directory NAME.ra [default: the newest in the current directory]
    #[arg(value_name = "TRACE", value_hint = clap::ValueHint::DirPath)]
    pub trace: Option<std::path::PathBuf>,
}

/// How much the program says on stderr.
#[derive(clap::Args, Debug, Default)]
pub struct MessageArgs {
    /// Print only warnings and errors on stderr
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// Print more on stderr
    #[arg(short, long, global = true, display_order = 901)]
    #[arg(action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}
