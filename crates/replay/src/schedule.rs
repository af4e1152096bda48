//! Which calls are performed, after which others, and when.

mod dispatch;
mod skip;

pub(crate) use dispatch::{DispatchResult, Dispatcher};
pub(crate) use order::too_long;
pub use order::{Order, Pace};

use crate::issue::RealFd;

type OrderBuilder = order::OrderBuilder<RealFd>;
type InFlight = order::InFlight<RealFd>;
