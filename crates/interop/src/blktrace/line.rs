//! What a line says (blkparse(1), "OUTPUT DESCRIPTION"; `kernel/trace/blktrace.c`).

/// An event: `MAJOR,MINOR CPU [SEQUENCE] SECONDS PID ACTION RWBS [SECTOR + SECTORS] [COMMAND]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// Nanoseconds.
    pub time: u64,
    /// The process.
    pub pid: u32,
    /// `Q` queued, `C` completed, and many more.
    pub action: &'t str,
    /// Reads, writes, discards, flushes, and how.
    pub rwbs: &'t str,
    /// First sector and how many, of 512 bytes; none for a flush.
    pub sectors: (u64, u64),
}

impl<'t> Line<'t> {
    /// Reads a line; `None`: it is no event.
    pub fn read(text: &'t str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (major, minor) = words.next()?.split_once(',')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        let _cpu: u32 = words.next()?.parse().ok()?;
        let mut word = words.next()?;
        if !word.contains('.') {
            let _sequence: u64 = word.parse().ok()?;
            word = words.next()?;
        }
        let (seconds, part) = word.split_once('.').filter(|(_, part)| part.len() == 9)?;
        let time = seconds
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(part.parse().ok()?)?;
        let pid = words.next()?.parse().ok()?;
        let action =
            words.next().filter(|a| a.len() <= 2 && a.bytes().all(|b| b.is_ascii_alphabetic()))?;
        let rwbs = words.next()?;
        let from = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let count = words
            .next()
            .filter(|plus| *plus == "+")
            .and_then(|_| words.next()?.parse().ok())
            .unwrap_or(0);
        Some(Self { device, time, pid, action, rwbs, sectors: (from, count) })
    }
}

/// Whether a file that starts so is such a text.
pub fn is_blktrace(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let lines = || text.lines().take(50);
    let all = lines().count();
    all > 0 && lines().filter(|l| Line::read(l).is_some()).count() * 2 > all
}
