//! Damaged and forged traces, journals and logs, each given to the program: it must end with a
//! status of its own, soon, within bounded memory, and touch nothing but what it was given.
//!
//! A mutant's number is its seed. The corpus that mutants are made of is recorded anew for each
//! run (`corpus.rs`); a number means the same mutant as long as the corpus stays.

pub mod change;
pub mod corpus;
pub mod judge;
pub mod nonsense;
mod random;

pub use corpus::Corpus;
pub use judge::{Judge, Tally};
pub use random::Random;

use change::{Frames, damage, forge_json, forge_text, rehash};
use corpus::{Kind, Seed};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// What a mutant is read from, in its directory.
pub const TRACE: &str = "t.ra";

/// Makes mutant number `seed` in the empty directory `at`.
pub fn make(corpus: &Corpus, seed: u64, at: &Path) -> Mutant {
    let mut random = Random::of(seed);
    let kinds = [Kind::Sealed, Kind::Sealed, Kind::Journal, Kind::Journal, Kind::Log, Kind::Log];
    let kind = kinds[random.below(kinds.len() as u64) as usize];
    if kind == Kind::Journal && random.below(4) == 0 {
        nonsense::nonsense(&at.join(TRACE), &mut random);
        return Mutant { kind, name: "nonsense".into(), input: at.join(TRACE), random };
    }
    let seeds: Vec<&Seed> = corpus.seeds.iter().filter(|s| s.kind == kind).collect();
    let seed = seeds[random.below(seeds.len() as u64) as usize];
    let mut files = seed.files.clone();
    for _ in 0..=random.below(3) {
        let at = random.below(files.len() as u64) as usize;
        let (name, bytes) = &mut files[at];
        change(kind, name, bytes, &mut random);
    }
    if kind == Kind::Sealed && random.below(8) != 0 {
        rehash(&mut files);
    }
    for (name, bytes) in &files {
        let path = at.join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }
    Mutant { kind, name: seed.name.clone(), input: at.join(&seed.input), random }
}

fn change(kind: Kind, name: &Path, bytes: &mut Vec<u8>, random: &mut Random) {
    let document = name.ends_with("trace.json");
    match (kind, random.below(4)) {
        (Kind::Sealed | Kind::Journal, 1..) if document => forge_json(bytes, random),
        (Kind::Journal, 1..) => match Frames::of(bytes) {
            Some(mut frames) => {
                frames.forge(random);
                *bytes = frames.sealed();
            }
            None => damage(bytes, random),
        },
        // Footers and page heads are where numbers are believed.
        (Kind::Sealed, 1..) => {
            let tail = bytes.split_off(bytes.len().saturating_sub(2048));
            let mut tail = tail;
            damage(&mut tail, random);
            bytes.extend(tail);
        }
        (Kind::Log, 1..) if bytes.is_ascii() => forge_text(bytes, random),
        _ => damage(bytes, random),
    }
}

/// A mutant that was made.
pub struct Mutant {
    pub kind: Kind,
    /// What it was made of.
    pub name: String,
    /// What the program is given.
    pub input: PathBuf,
    random: Random,
}

impl Mutant {
    /// The commands that read it, in turn: those after the first only if it ends with 0. `root`: a
    /// place for a replay.
    pub fn commands(&mut self, root: &Path) -> Vec<Vec<OsString>> {
        let (input, output) = (self.input.clone(), self.input.with_extension("out.ra"));
        let line = |words: &[&str], end: &[&Path]| -> Vec<OsString> {
            words.iter().map(OsString::from).chain(end.iter().map(|p| (*p).into())).collect()
        };
        let random = &mut self.random;
        // Opening recovers, too; and most of what is done with a log is converting it.
        let (recovers, goes_on) = (random.below(2) == 0, random.below(2) == 0);
        let mut read = |trace: &Path| match random.below(9) {
            0 => line(&["-q", "print", "-y", "-T"], &[trace]),
            1 => line(&["-q", "print", "--json"], &[trace]),
            2 => line(&["-q", "verify"], &[trace]),
            3 => line(&["-q", "info", "--json"], &[trace]),
            4 => line(&["-q", "prepare", "--root"], &[root, trace]),
            5 => line(&["-q", "replay", "--order", "resource", "--root"], &[root, trace]),
            6 => line(&["-q", "replay", "--order", "strict", "--root"], &[root, trace]),
            _ => line(&["-q", "replay", "--json", "--root"], &[root, trace]),
        };
        match self.kind {
            Kind::Sealed => vec![read(&input)],
            Kind::Journal if !recovers => vec![read(&input)],
            Kind::Journal => vec![line(&["-q", "recover"], &[&input]), read(&input)],
            Kind::Log if !goes_on => vec![line(&["-q", "convert"], &[&input, &output])],
            Kind::Log => vec![line(&["-q", "convert"], &[&input, &output]), read(&output)],
        }
    }
}
