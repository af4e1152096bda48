//! What is found out about processes and files: from `/proc`, from a process's memory, and by
//! asking the kernel about a file.

mod deep_path;
pub(crate) mod identity;
pub(crate) mod memory;
pub(crate) mod moved_data;
pub(crate) mod open_files;
pub(crate) mod procfs;
pub(crate) mod recorded_on;
pub(crate) mod this_machine;
