//! Signals that the recorder gets.

mod ctrl_c;
mod fatal;
mod handlers;

pub(crate) use ctrl_c::Asked;
pub use fatal::{Wiped, die_of};
pub(crate) use handlers::{Handlers, NUDGE, stop_ourselves};
pub use handlers::{Listening, ignores};
