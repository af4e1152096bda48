//! The rules, one file each. A rule is a definition, and a state that looks at calls.

mod dir_scan;
mod dir_unsynced;
mod dirty;
mod eagain_loop;
mod error_ignored;
mod leak;
mod lock_wait;
mod metadata_heavy;
mod misaligned;
mod path_search;
mod random;
mod rename_unsynced;
mod repeats;
mod reread_bytes;
mod reread_file;
mod same_miss;
mod seek_read;
mod sequential_small;
mod short_write_ignored;
mod sleep_poll;
mod small_io;
mod stat_storm;
mod sync_open;
mod sync_per_record;
mod tail;
mod tally;
mod temp_churn;
mod tiny_appends;
mod unused_open;
mod useless_sync;

use crate::findings::definition::Entry;

/// All rules: those of safety first.
pub(crate) static RULES: &[Entry] = &[
    rename_unsynced::ENTRY,
    error_ignored::ENTRY,
    short_write_ignored::ENTRY,
    leak::ENTRY,
    dir_unsynced::ENTRY,
    sync_per_record::ENTRY,
    useless_sync::ENTRY,
    sync_open::ENTRY,
    tiny_appends::ENTRY,
    small_io::ENTRY,
    sequential_small::ENTRY,
    misaligned::ENTRY,
    random::ENTRY,
    reread_file::ENTRY,
    reread_bytes::ENTRY,
    seek_read::ENTRY,
    metadata_heavy::ENTRY,
    stat_storm::ENTRY,
    path_search::ENTRY,
    same_miss::ENTRY,
    unused_open::ENTRY,
    dir_scan::ENTRY,
    temp_churn::ENTRY,
    lock_wait::ENTRY,
    eagain_loop::ENTRY,
    sleep_poll::ENTRY,
    tail::ENTRY,
];
