//! What a terminal shows: progress while something takes long, and nothing of it afterwards.

use crate::harness::forge;
use crate::harness::place::{Place, REANIMATOR};
use crate::harness::run::{Ran, finish, start, wait_for};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

/// Runs a shell's command line on a terminal of 80 columns. What it shows is in `shown`.
fn on_terminal(place: &Place, line: &str) -> Child {
    let inner = format!("stty cols 80 rows 24; reanimator() {{ {REANIMATOR} \"$@\"; }}; {line}");
    let shown = place.path("shown");
    let mut command = place.command(["/usr/bin/script", "-qefc", &inner]);
    start(command.arg(shown).env("TERM", "xterm").stdin(Stdio::piped()))
}

/// All that was written to the terminal so far.
fn written(place: &Place) -> String {
    let mut bytes = Vec::new();
    let opened = fs::File::open(place.path("shown"));
    opened.and_then(|mut file| file.read_to_end(&mut bytes)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What stands on the screen at the end.
fn screen(ran: &Ran) -> String {
    let mut terminal = vt100::Parser::default();
    terminal.process(ran.stdout.as_bytes());
    terminal.screen().contents()
}

/// A trace that takes long enough for every bar.
fn long_trace(place: &Place) -> std::path::PathBuf {
    let trace = place.trace("t");
    forge::generate(&trace, 200_000);
    trace
}

#[test]
fn bars_are_gone_when_it_is_done() {
    let place = Place::new();
    let trace = long_trace(&place).display().to_string();
    for (line, bars) in [
        (format!("reanimator recover {trace}"), &["recovering"][..]),
        (format!("reanimator print {trace} >text"), &["printing"]),
        (format!("reanimator print -o text {trace}"), &["printing"]),
        (format!("reanimator convert {trace} t.csv"), &["converting"]),
        (format!("reanimator convert {trace} t.strace"), &["converting"]),
        ("reanimator convert t.strace s.ra".to_owned(), &["reading"]),
        (format!("reanimator verify {trace}; true"), &["verifying"]),
        (format!("reanimator replay --root root {trace}"), &["replaying"]),
        ("reanimator record --engine ptrace -o c.ra -- cp /etc/passwd a".to_owned(), &["sealing"]),
        ("reanimator replay --root c c.ra".to_owned(), &["replaying", "comparing"]),
        ("reanimator verify --against c c.ra".to_owned(), &["comparing"]),
    ] {
        let ran = finish(on_terminal(&place, &line), &line).ok(&line);
        for bar in bars {
            let drawn = format!("{bar} [");
            assert!(ran.stdout.contains(&drawn), "{line} has no bar {bar:?}: {:?}", ran.stdout);
        }
        let screen = screen(&ran);
        assert!(!screen.contains('['), "{line} leaves\n{screen}\n{ran:?}");
    }
}

#[test]
fn bars_are_gone_when_it_is_broken_off() {
    let place = Place::new();
    let trace = long_trace(&place);
    let made = trace.display();
    let done = |line: &str| finish(on_terminal(&place, line), line).ok(line);
    done(&format!("reanimator recover {made}; reanimator convert {made} t.strace"));
    for (line, bar) in [
        (format!("reanimator print {made} >text"), "printing"),
        (format!("reanimator convert {made} t.csv"), "converting"),
        ("reanimator convert t.strace s.ra".to_owned(), "reading"),
        (format!("reanimator verify {made}"), "verifying"),
        (format!("reanimator replay --pace recorded*1000 {made}"), "replaying"),
    ] {
        fs::remove_file(place.path("shown")).unwrap();
        let mut terminal = on_terminal(&place, &line);
        let drawn = format!("{bar} [");
        wait_for(&drawn, || written(&place).contains(&drawn));
        terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        let ran = finish(terminal, &line);
        assert_ne!(ran.code, Some(0), "{line} was done before the interrupt: {ran:?}");
        let screen = screen(&ran);
        assert!(!screen.contains('['), "{line} leaves\n{screen}\n{ran:?}");
        for name in ["t.csv", "s.ra"] {
            assert!(!place.work().join(name).exists(), "{line} leaves {name}: {ran:?}");
        }
    }
}

/// Colours can be read on black and on white: none of what a terminal shows is yellow, white or
/// black.
#[test]
fn colours_suit_dark_and_light_terminals() {
    let place = Place::new();
    let trace = place.trace("t").display().to_string();
    let lines = [
        format!("reanimator record --engine ptrace -o {trace} -- true"),
        "reanimator record --data x -- true; true".to_owned(),
        "reanimator record --exclude; true".to_owned(),
        format!("reanimator replay --verify none {trace}"),
        format!("mkdir a; reanimator bench --repeat 1 --verify none --target a=a {trace}"),
        "reanimator replay nothing.ra; true".to_owned(),
        "reanimator doctor; true".to_owned(),
        "reanimator record --help".to_owned(),
    ];
    let mut coloured = 0;
    for line in lines {
        let ran = finish(on_terminal(&place, &line), &line).ok(&line);
        for sequence in ran.stdout.split("\x1b[").skip(1) {
            let Some((codes, _)) = sequence.split_once('m') else { continue };
            if codes.contains(|c: char| !c.is_ascii_digit() && c != ';') {
                continue;
            }
            let codes: Vec<&str> = codes.split(';').collect();
            let indexed = codes.windows(3).find(|w| w[..2] == ["38", "5"]).map(|w| w[2]);
            let named = codes.iter().find(|c| c.len() == 2 && c.starts_with(['3', '9']));
            let colour = indexed.or(named.filter(|c| **c != "38" && **c != "39").copied());
            coloured += u32::from(colour.is_some());
            let poor = ["30", "33", "37", "90", "93", "97", "0", "3", "7", "11", "15"];
            let bright = indexed.and_then(|c| c.parse::<u32>().ok()).is_some_and(|c| c > 7);
            assert!(!bright && colour.is_none_or(|c| !poor.contains(&c)), "{line}: {codes:?}");
        }
    }
    assert!(coloured > 10, "only {coloured} words have a colour");
}
