//! What calls do to the processes: at their entry, which says what their arguments mean, and at
//! their exit, which applies what they did.

pub(in crate::world) mod closing;
pub(in crate::world) mod effects;
pub(in crate::world) mod enter;
pub(in crate::world) mod mounting;
mod opening;
pub(in crate::world) mod passing;
pub(in crate::world) mod virtual_links;
