//! `reanimator record`: run a program, or join one, and write what it does into a trace.

mod advice;
mod args;
mod engine;
mod sudo;
mod target;

pub use self::args::{Args, Engine, OnFull};

use self::target::Target;
use crate::filter::{Filter, Status};
use crate::messages::failure::{self, Advise};
use crate::messages::{self, Messages, Outcome};
use crate::output::units::{format_bytes, format_count, format_counted, format_duration};
use crate::traces::naming;
use anyhow::{Context, Result, bail};
use capture::{CallSet, OnStart, OutcomeFilter, SignalListener};
use std::os::fd::AsFd;
use std::path::Path;
use trace::{Recording, Summary, Verdict};

/// Runs `reanimator record`. The outcome is that of the recorded program, or the status 125, 126 or
/// 127 if it could not be recorded.
pub fn run(a: &Args, messages: &Messages) -> Outcome {
    record(a, messages).unwrap_or_else(|error| {
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<capture::Error>());
        match cause {
            // Nothing ran and nothing is left: as if the signal had not been caught.
            Some(capture::Error::Interrupted { signal }) => Outcome::Signal(*signal),
            cause => {
                let status = cause.map_or(125, |e| i32::from(e.status()));
                Outcome::Failed(error, status)
            }
        }
    })
}

/// Records what the options name, seals the trace, and prints a summary. Returns how this process
/// ends.
fn record(a: &Args, messages: &Messages) -> Result<Outcome> {
    let mut options = capture_options(a)?;
    let caller = sudo::sudo_caller();
    let target = target::from_args(a, caller.as_ref(), messages)?;
    let path = naming::choose_output(a.output.as_deref(), &target::program_name(&target), a.force)?;

    let joined = target::describe_attached(&target);
    if let (Some(joined), true) = (joined.clone(), !messages.is_quiet()) {
        options.on_start = OnStart::new(move || {
            messages::say(&format!("recording {joined}; press Ctrl-C to end the recording"));
        });
    }
    let listening = match &target {
        Target::Command(_) => SignalListener::for_command(),
        _ => SignalListener::for_observer(),
    };
    let (engine, recording, watched) =
        engine::record_with_engine(a, &target, &options, &path, messages)?;
    drop(listening);
    // Its name may lead elsewhere by the time that it is sealed.
    let dir = recording.as_fd().try_clone_to_owned().context("cannot open the trace")?;
    let summary = seal_trace(recording, &watched, &path, messages)?;
    if let Some(caller) = &caller
        && let Err(error) = caller.give_directory(&dir, &path)
    {
        messages.warn(failure::error_text(&error));
    }
    drop(dir);
    if let Some(line) = target::describe_end(&target, joined.as_deref(), &watched) {
        messages.say(line);
    }
    print_summary(&path, engine.name(), &summary, &watched, messages);
    Ok(match watched.end {
        _ if a.strict && summary.verdict == Verdict::Incomplete => Outcome::Status(125),
        // How a program ends that was not started by us is not how we end.
        _ if a.command.is_empty() => Outcome::Status(0),
        capture::ProgramEnd::Exited(status) => Outcome::Status(status),
        capture::ProgramEnd::Signaled(signal) => Outcome::Signal(signal),
        capture::ProgramEnd::Running => Outcome::Status(0),
    })
}

/// Converts the command line to options of the engines. Fails if they contradict each other.
fn capture_options(a: &Args) -> Result<capture::Options> {
    let filter = Filter::parse(&a.filter)?;
    if filter.needs_paths() {
        let refused: Result<()> = Err(anyhow::anyhow!("record cannot select by path="));
        refused.advise(
            "record all calls, and select when printing: reanimator print -e 'path=GLOB'",
        )?;
    }
    if a.seccomp && filter.has_all_numbers() {
        bail!("--seccomp needs -e: without it no call is left out");
    }
    let wanted = CallSet::from_fn(|number| filter.has_number(number));
    let outcomes = OutcomeFilter {
        successful: filter.has_status(Status::Successful),
        failed: filter.has_status(Status::Failed),
        unfinished: filter.has_status(Status::Unfinished),
    };
    if outcomes != OutcomeFilter::ALL && (a.engine == Engine::Ptrace || a.seccomp) {
        let refused: Result<()> =
            Err(anyhow::anyhow!("only eBPF can select by status=, not ptrace"));
        refused.advise(
            "record all calls, and select when printing: reanimator print -e status=failed",
        )?;
    }
    Ok(capture::Options {
        data: a.data,
        calls: wanted,
        outcomes,
        seccomp: a.seccomp,
        ring_bytes: a.buffer,
        drops: a.on_full == OnFull::Drop,
        write_rate: a.write_rate,
        fork_report_delay: a.late_births.unwrap_or(0),
        seal_ahead_bytes: a.seal_at.unwrap_or(capture::Options::default().seal_ahead_bytes),
        on_start: OnStart::default(),
    })
}

/// Seals the trace of a program that has ended, with a progress bar. Warns if the journal could not
/// be written to the end.
fn seal_trace(
    recording: Recording,
    watched: &capture::Outcome,
    path: &Path,
    messages: &Messages,
) -> Result<Summary> {
    if let Some(error) = &watched.journal_error {
        messages.warn(format_args!(
            "the trace could not be written any more, and the program runs on unrecorded: {}",
            failure::causes(error)
        ));
    }
    let end = trace::RecordingEnd {
        finished: watched.journal_error.is_none(),
        final_state: !watched.detached,
        held_ns: watched.delay.as_nanos() as u64,
        notes: watched.notes.clone(),
        missing: watched.missing.clone(),
    };
    let progress = messages.progress("sealing");
    let sealed = recording.seal(end, &mut |done, of| progress.set_position(done, of));
    drop(progress);
    failure::with_advice(sealed, path).with_context(|| match watched.end {
        capture::ProgramEnd::Exited(status) => {
            format!("the program exited with {status}, but its trace is not finished")
        }
        capture::ProgramEnd::Signaled(signal) => {
            format!("the program died of signal {signal}, but its trace is not finished")
        }
        capture::ProgramEnd::Running => "the trace is not finished".to_owned(),
    })
}

/// Prints notes and the last line: what was written, or a warning if something is missing.
fn print_summary(
    path: &Path,
    engine: &str,
    summary: &Summary,
    watched: &capture::Outcome,
    messages: &Messages,
) {
    for note in &summary.notes {
        messages.say(format_args!("note: {note}"));
    }
    if watched.delay.as_millis() > 0 {
        messages.say(format_args!(
            "note: calls were delayed by {} in all, because the trace could not be written faster",
            format_duration(summary.held_ns)
        ));
    }
    let line = format!(
        "wrote {}  {}  {}  {}  {}  ({engine})",
        path.display(),
        format_counted(summary.calls, "call", "calls"),
        format_counted(summary.processes, "process", "processes"),
        format_bytes(summary.bytes_on_disk),
        summary.verdict
    );
    messages.say(line);
    if summary.verdict == Verdict::Incomplete {
        let lost = if summary.lost > 0 {
            format!("{} calls were lost; ", format_count(summary.lost))
        } else {
            String::new()
        };
        messages.warn(format_args!(
            "{} is INCOMPLETE: {lost}{}",
            path.display(),
            summary.reasons.join("; ")
        ));
    }
}
