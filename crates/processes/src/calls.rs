//! What calls do to the processes: at their entry, which says what their arguments mean, and at
//! their exit, which applies what they did.

pub(crate) mod closing;
mod credentials;
pub(crate) mod effects;
pub(crate) mod enter;
pub(crate) mod mounting;
mod offset;
mod opening;
pub(crate) mod passing;
pub(crate) mod virtual_links;
