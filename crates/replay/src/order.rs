//! Order and pace: which calls a call waits for, and for what time. The two are chosen independently of each other.

use std::fmt;
use std::str::FromStr;

/// Which calls must be done before a call is issued. `docs/replay-semantics.md` has the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those of its thread, of the thread's parent before it was born, and those that opened its descriptors: what else depends on the order is a race.
    Thread,
    /// All that had returned before it began.
    #[default]
    Overlap,
    /// Those of its thread, and those on the same file, name, directory, offset or descriptor that it conflicts with.
    Resource,
    /// All that returned before it did: one at a time.
    Strict,
}

/// When a call is issued that waits for no other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// At once.
    #[default]
    Asap,
    /// When its thread has computed for as long as in the recording since its last call, times this.
    Think(f64),
    /// When as much time has passed since the first call as in the recording, times this.
    Recorded(f64),
}

impl Order {
    /// Whether a call waits for single calls, and not for all before one.
    pub(crate) const fn waits_for_single_calls(self) -> bool {
        matches!(self, Self::Thread | Self::Resource)
    }
}

impl Pace {
    /// How long a replay of a recording that took `span` waits at most, nanoseconds; `None`: it
    /// waits for no time.
    pub fn planned(self, span: u64) -> Option<u64> {
        match self {
            Self::Asap => None,
            Self::Think(by) | Self::Recorded(by) => Some((span as f64 * by) as u64),
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    /// `asap`, `think`, `recorded`; the last two with a factor if wanted: `think*0.5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, factor) =
            text.split_once('*').map_or((text, None), |(name, factor)| (name, Some(factor)));
        let number = || match factor.map_or(Ok(1.0), str::parse::<f64>) {
            Ok(number) if (0.0..=1e6).contains(&number) => Ok(number),
            _ => Err("expected a factor from 0 to 1000000, like think*0.5".to_owned()),
        };
        match name {
            "asap" if factor.is_none() => Ok(Self::Asap),
            "think" => Ok(Self::Think(number()?)),
            "recorded" => Ok(Self::Recorded(number()?)),
            _ => Err("expected asap, think or recorded, the last two with a factor if wanted: \
                    recorded*2"
                .to_owned()),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asap => f.write_str("asap"),
            Self::Think(by) => write!(f, "think*{by}"),
            Self::Recorded(by) => write!(f, "recorded*{by}"),
        }
    }
}

/// The time at which a call is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Due {
    /// Any.
    #[default]
    Now,
    /// So many nanoseconds after its thread's last call was done.
    After(u64),
    /// So many nanoseconds after the replay of calls began.
    At(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces() {
        assert_eq!("asap".parse(), Ok(Pace::Asap));
        assert_eq!("think".parse(), Ok(Pace::Think(1.0)));
        assert_eq!("recorded*0.5".parse(), Ok(Pace::Recorded(0.5)));
        for bad in ["", "asap*2", "think*", "think*-1", "think*nan", "soon", "recorded*1e9"] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }
}
