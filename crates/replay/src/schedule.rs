//! Which calls are performed, after which others, and when.

mod decide;
mod dispatch;
mod order;
mod pace;

pub(crate) use dispatch::{Dispatcher, Done};
pub use order::Order;
pub use pace::Pace;
pub(crate) use pace::too_long;
