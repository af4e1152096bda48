//! The whole proof for one program: run bare, run recorded, performed again in an empty directory;
//! everything compared.

use crate::harness::place::{Place, User, Watch, number};
use crate::harness::run::{Ran, run};
use crate::harness::tree;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What of the program's output is the same in every run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// All of it.
    Equal,
    /// The lines, not their order.
    Lines,
    /// Nothing.
    Varies,
}

/// A program to be proved.
pub struct Program {
    argv: Vec<String>,
    before: Option<String>,
    input: Option<String>,
    user: User,
    output: Output,
}

/// What is left after a proof, for further questions.
pub struct Proved {
    pub place: Place,
    pub trace: PathBuf,
    pub recorded: Ran,
    pub info: Value,
    pub report: Value,
}

impl Program {
    /// A program and its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, before: None, input: None, user: User::Me, output: Output::Equal }
    }
    /// A shell script; any command that fails ends it.
    pub fn script(text: &str) -> Self {
        Self::new(["/bin/dash", "-euc", text])
    }
    /// This script makes the files that the program finds. The trace then knows only what the
    /// program saw of them.
    pub fn before(mut self, script: &str) -> Self {
        self.before = Some(script.to_owned());
        self
    }
    /// This is the program's standard input: a file.
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }
    /// Run it as a user without privileges.
    pub fn ordinary(mut self) -> Self {
        self.user = User::Ordinary;
        self
    }
    /// What of the output to compare.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    fn prepare(&self, place: &Place) {
        if let Some(script) = &self.before {
            run(&mut place.command(["/bin/dash", "-euc", script])).ok("what comes before");
        }
    }
    fn execute(&self, place: &Place, command: &mut std::process::Command) -> Ran {
        self.prepare(place);
        if let Some(text) = &self.input {
            command.stdin(fs::File::open(place.file("input", text)).unwrap());
        } else {
            command.stdin(Stdio::null());
        }
        run(command)
    }

    /// Runs it bare and recorded, and requires that both runs say and do the same.
    #[track_caller]
    fn recorded(&self, watch: Watch) -> (Place, PathBuf, Ran) {
        let mut place = Place::of(self.user);
        place.watch = watch;
        let bare = self.execute(&place, &mut place.command(&self.argv));
        fs::rename(place.work(), place.path("bare")).unwrap();
        place.directory("work");
        let trace = place.trace("t");
        let recorded = self.execute(&place, &mut place.record(&trace, &[], &self.argv));
        assert_eq!(
            recorded.end(),
            bare.end(),
            "how it ends (status, signal)\nbare: {bare:?}\nrecorded: {recorded:?}"
        );
        assert_eq!(
            self.stable(&recorded.stdout),
            self.stable(&bare.stdout),
            "stdout, recorded and bare"
        );
        assert_eq!(
            self.stable(&recorded.stderr),
            self.stable(&bare.stderr),
            "stderr, recorded and bare"
        );
        (place, trace, recorded)
    }

    fn stable(&self, text: &str) -> String {
        match self.output {
            Output::Equal => text.to_owned(),
            Output::Varies => String::new(),
            Output::Lines => {
                let mut lines: Vec<_> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            }
        }
    }

    /// The whole proof, with every engine; what is left of the last one, ptrace.
    #[track_caller]
    pub fn proved(&self) -> Proved {
        let [first, others @ ..] = Watch::ALL;
        others.into_iter().fold(self.proved_with(first), |_, watch| self.proved_with(watch))
    }

    /// The whole proof with one engine.
    #[track_caller]
    pub fn proved_with(&self, watch: Watch) -> Proved {
        eprintln!("watched by {watch:?}");
        let (place, trace, recorded) = self.recorded(watch);
        let info = place.info(&trace);
        assert_eq!(info["engine"], watch.engine(), "{info}");
        assert_eq!(info["verdict"], "complete", "{info}");
        assert_eq!(number(&info, "lost"), 0, "{info}");
        assert!(number(&info, "calls") > 10, "{info}");
        let root = place.directory("root");
        let report = same_again(&place, &trace, &root);
        self.same_tree(&place, &root, &report);
        Proved { place, trace, recorded, info, report }
    }

    /// Compares the trees ourselves. What the program made must all be there; of what it found,
    /// nothing must be there that was not. Files that the report says the recorded program's races
    /// left undecided are only there.
    #[track_caller]
    fn same_tree(&self, place: &Place, root: &Path, report: &Value) {
        let work = place.work();
        let again = root.join(work.strip_prefix("/").unwrap());
        let (mut made, mut again) = (tree::describe(&work), tree::describe(&again));
        if self.before.is_some() {
            // The bytes that the program did not read are not known.
            (made, again) = (tree::without_content(&made), tree::without_content(&again));
            made = made
                .lines()
                .filter(|line| again.lines().any(|l| l == *line))
                .fold(String::new(), |all, line| all + line + "\n");
        }
        let told = report["state"]["raced_lines"].as_array().unwrap();
        let raced = |line: &str| {
            let name = line.trim_start_matches("./").split(": ").next().unwrap();
            told.iter().any(|t| {
                t.as_str().unwrap().starts_with(&format!("{}: ", work.join(name).display()))
            })
        };
        let decided = |text: &str| {
            text.lines()
                .filter(|line| !raced(line))
                .fold(String::new(), |all, line| all + line + "\n")
        };
        (made, again) = (decided(&made), decided(&again));
        let difference = tree::difference(&made, &again);
        assert!(difference.is_empty(), "the trees differ (- recorded, + replayed):\n{difference}");
    }
}

/// Replays into an empty directory and requires that nothing differs.
#[track_caller]
pub fn same_again(place: &Place, trace: &Path, root: &Path) -> Value {
    let (ran, report) = place.replay(trace, root);
    let shown = || format!("{report:#}\n{}", ran.stderr);
    assert_eq!(number(&report, "divergences"), 0, "{}", shown());
    assert_eq!(number(&report, "state.different"), 0, "{}", shown());
    assert!(number(&report, "state.compared") > 0, "{}", shown());
    assert!(number(&report, "performed") > 0, "{}", shown());
    assert_eq!(ran.end(), (Some(0), None), "{}", shown());
    report
}
