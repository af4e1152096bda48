//! Watches a command, or with `-p` a process, and shows the journal's records on stderr: `watch DIR [--quiet] [--seccomp] [--none] (COMMAND.. | -p PID..)`.
#![allow(clippy::unwrap_used, reason = "not part of the program")]

use capture::{Command, DataLimit, Options, Wanted, record_attach, record_command};
use std::ffi::OsString;
use std::path::Path;
use trace::journal::{Frame, Journal};
use trace::record::{Header, PieceHeader, PieceKind, RecordKind};
use zerocopy::FromBytes;

fn main() {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let dir = args.remove(0);
    let dir = Path::new(&dir);
    let mut options = Options::default();
    let mut quiet = false;
    while let Some(option) = args.first().and_then(|a| a.to_str()).filter(|a| a.starts_with("--")) {
        match option {
            "--quiet" => quiet = true,
            "--none" => options.data = DataLimit::None,
            "--seccomp" => {
                options.seccomp = true;
                options.wanted = Wanted::new(|n| n == 74);
            }
            _ => panic!("what is {option}?"),
        }
        args.remove(0);
    }
    std::fs::create_dir_all(dir).unwrap();
    let _ = std::fs::remove_file(dir.join("00000"));
    let journal = Journal::create(dir, 0).unwrap();
    let outcome = if args[0] == "-p" {
        let pids: Vec<i32> = args[1..].iter().map(|a| a.to_str().unwrap().parse().unwrap()).collect();
        record_attach(&pids, &options, journal)
    } else {
        Command::new(&args).and_then(|c| record_command(&c, &options, journal))
    };
    eprintln!("{outcome:?}");
    if !quiet {
        show(&std::fs::read(dir.join("00000")).unwrap());
    }
}

fn show(mut file: &[u8]) {
    let mut expected = 0;
    while let Ok((frame, rest)) = Frame::read_from_prefix(file) {
        let (mut records, after) = rest.split_at(frame.len as usize);
        file = after;
        while let Ok((h, body)) = Header::read_from_prefix(records) {
            assert_eq!(h.seq, expected);
            expected += 1;
            let shape = abi::shape(h.nr, &h.args);
            let kind = RecordKind::from_number(h.kind).unwrap();
            let name = if matches!(kind, RecordKind::Call | RecordKind::Part) { shape.map_or("?", |s| s.name) } else { "" };
            eprintln!(
                "{} {}/{} {kind:?} {name} {:x?} = {} flags {} {}us",
                h.entered,
                h.pid,
                h.tid,
                h.args,
                h.ret,
                h.flags,
                h.left.saturating_sub(h.entered) / 1000
            );
            let mut pieces = body;
            for _ in 0..h.pieces {
                let (p, bytes) = PieceHeader::read_from_prefix(pieces).unwrap();
                let text = String::from_utf8_lossy(&bytes[..(p.len as usize).min(200)]).escape_debug().to_string();
                eprintln!("    {} {:?} flags {} {} of {}: {text}", p.arg, PieceKind::from_number(p.kind).unwrap(), p.flags, p.len, p.wanted);
                pieces = &bytes[(p.len as usize).next_multiple_of(8)..];
            }
            records = &records[h.len as usize..];
        }
    }
    eprintln!("{expected} records");
}
