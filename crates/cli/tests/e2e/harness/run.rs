//! Programs run to their end, with a deadline.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long any one program may take.
pub const PATIENCE: Duration = Duration::from_secs(280);

/// What a program said and how it ended.
#[derive(Debug, PartialEq)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Ran {
    /// The program ended with status 0.
    #[track_caller]
    pub fn ok(self, what: &str) -> Self {
        assert!(
            self.code == Some(0),
            "{what} ended with status {:?}, signal {:?}\nstdout: {}\nstderr: {}",
            self.code,
            self.signal,
            self.stdout,
            self.stderr
        );
        self
    }
    /// How it ended, without what it said.
    pub fn end(&self) -> (Option<i32>, Option<i32>) {
        (self.code, self.signal)
    }
}

/// Runs it to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    run_for(command, PATIENCE)
}

/// The same with a deadline of its own.
#[track_caller]
pub fn run_for(command: &mut Command, patience: Duration) -> Ran {
    finish_within(start(command), &format!("{command:?}"), patience)
}

/// Starts it with its output going to us.
#[track_caller]
pub fn start(command: &mut Command) -> Child {
    let shown = format!("{command:?}");
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {shown}: {e} (is it installed? see the Makefile)"))
}

/// Waits for its end.
#[track_caller]
pub fn finish(child: Child, what: &str) -> Ran {
    finish_within(child, what, PATIENCE)
}

#[track_caller]
fn finish_within(mut child: Child, what: &str, patience: Duration) -> Ran {
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let out = thread::spawn(move || read_all(&mut out));
    let err = thread::spawn(move || read_all(&mut err));
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what} did not end within {patience:?}");
        }
        thread::sleep(Duration::from_millis(3));
    };
    Ran {
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
        code: status.code(),
        signal: status.signal(),
    }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `done`, or says what did not come.
#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
