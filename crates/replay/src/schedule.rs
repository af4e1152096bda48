//! Which calls are performed, after which others, and when.

mod dispatch;
mod pace;
mod skip;

pub(crate) use dispatch::{DispatchResult, Dispatcher};
pub use order::Order;
pub use pace::Pace;
pub(crate) use pace::too_long;

use crate::issue::RealFd;

type OrderBuilder = order::OrderBuilder<RealFd>;
type InFlight = order::InFlight<RealFd>;
