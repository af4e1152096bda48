//! Which calls are performed, after which others, and when.

mod dispatch;
mod order;
mod pace;
mod skip;

pub(crate) use dispatch::{DispatchResult, Dispatcher};
pub use order::Order;
pub use pace::Pace;
pub(crate) use pace::too_long;
