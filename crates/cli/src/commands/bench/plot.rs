//! A plot of what was measured: how long the replays took, and for each of the calls that took
//! longest how its times are distributed, on each target and in the recording.

use super::canvas::{self, Align, Canvas, Format, WIDTH};
use super::table::{range, slowest_calls, times};
use super::{Bench, Measured, median};
use crate::messages::failure::Advise;
use crate::output::tables::recording_overhead;
use crate::output::units::format_counted;
use ::replay::report::QUANTILES;
use anyhow::{Context, Result, anyhow};
use interop::export::Sink;
use plotters::style::RGBColor;
use std::path::{Path, PathBuf};

/// Calls that have a panel.
const PANELS: usize = 6;
/// Fewer calls are drawn as points: there is no distribution to see.
const FEW: f64 = 20.0;
/// The shortest time that is drawn, in microseconds.
const SHORTEST: f64 = 0.05;
const EDGE: i32 = 24;
const BAR: i32 = 26;
const PANEL: i32 = 280;
/// Above the bars.
const HEAD: i32 = 142;
/// Percentiles on the axis; they are as far apart as their numbers of nines.
const MARKS: [(f64, &str); 6] =
    [(0.0, "min"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];
const LABELS: [(f64, &str); 9] = [
    (1e-1, "100 ns"),
    (1.0, "1 µs"),
    (1e1, "10 µs"),
    (1e2, "100 µs"),
    (1e3, "1 ms"),
    (1e4, "10 ms"),
    (1e5, "100 ms"),
    (1e6, "1 s"),
    (1e7, "10 s"),
];

/// The colours of a plot.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on white
    Light,
    /// Light on black
    Dark,
}

/// The colours of a theme.
struct Look {
    back: RGBColor,
    text: RGBColor,
    faint: RGBColor,
    grid: RGBColor,
    recorded: RGBColor,
    targets: [RGBColor; 8],
}

const LIGHT: Look = Look {
    back: RGBColor(255, 255, 255),
    text: RGBColor(30, 30, 30),
    faint: RGBColor(95, 95, 95),
    grid: RGBColor(222, 222, 222),
    recorded: RGBColor(150, 150, 150),
    targets: [
        RGBColor(0, 90, 181),
        RGBColor(220, 50, 32),
        RGBColor(0, 135, 68),
        RGBColor(148, 78, 170),
        RGBColor(194, 120, 0),
        RGBColor(0, 145, 160),
        RGBColor(200, 60, 140),
        RGBColor(110, 90, 60),
    ],
};
const DARK: Look = Look {
    back: RGBColor(18, 20, 24),
    text: RGBColor(232, 232, 232),
    faint: RGBColor(165, 168, 172),
    grid: RGBColor(54, 58, 64),
    recorded: RGBColor(130, 134, 140),
    targets: [
        RGBColor(100, 170, 255),
        RGBColor(255, 130, 110),
        RGBColor(90, 210, 140),
        RGBColor(208, 150, 235),
        RGBColor(245, 185, 70),
        RGBColor(80, 210, 225),
        RGBColor(250, 140, 200),
        RGBColor(205, 185, 150),
    ],
};

/// A file to draw into, which gets its name when it is whole.
pub struct Plot {
    path: PathBuf,
    sink: Sink,
    format: Format,
    theme: Theme,
}

impl Plot {
    /// Opens the plot's file before anything is measured. Fails if the name tells no known format
    /// or the file cannot be written.
    pub fn new(path: &Path, theme: Theme) -> Result<Self> {
        let shown = path.display();
        let format = match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase) {
            Some(end) if end == "svg" => Ok(Format::Svg),
            Some(end) if end == "png" => Ok(Format::Png),
            _ => Err(anyhow!("--plot {shown}: cannot tell the format from the name"))
                .advise("name it FILE.svg or FILE.png"),
        }?;
        if path.is_dir() {
            Err(anyhow!("--plot {shown} is a directory")).advise("name a file in it")?;
        }
        let sink = Sink::new(path)
            .with_context(|| format!("--plot cannot write {shown}"))
            .advise("name a file in a directory that exists and that you may write to")?;
        Ok(Self { path: path.to_owned(), sink, format, theme })
    }

    /// Returns the path of the plot's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Draws the targets that have times, and replaces the plot's file.
    pub fn draw(mut self, bench: &Bench<'_>) -> Result<()> {
        let look = if self.theme == Theme::Light { &LIGHT } else { &DARK };
        let picture = Picture::new(bench, look);
        canvas::draw(&mut self.sink, self.format, picture.height(), look.back, |canvas| {
            picture.draw(bench, canvas)
        })
        .and_then(|()| Ok(self.sink.finish_over()?))
        .with_context(|| format!("cannot write the plot {}", self.path.display()))
    }
}

/// One line of a panel, in microseconds at [`QUANTILES`].
struct Line {
    colour: RGBColor,
    calls: f64,
    times: Vec<f64>,
}

struct Panel {
    name: String,
    lines: Vec<Line>,
}

struct Picture<'a> {
    look: &'a Look,
    timed: Vec<(&'a Measured<'a>, RGBColor)>,
    panels: Vec<Panel>,
    /// The times on all panels, and the most nines of a percentile.
    low: f64,
    high: f64,
    nines: f64,
}

impl<'a> Picture<'a> {
    /// Chooses colours and scales for the targets that have times, and prepares a panel for each of
    /// the slowest calls.
    fn new(bench: &'a Bench<'a>, look: &'a Look) -> Self {
        let colour = |i: usize| look.targets[i % look.targets.len()];
        let all = bench.measured.iter().enumerate().map(|(i, m)| (m, colour(i)));
        let timed: Vec<_> = all.filter(|(m, _)| m.failed.is_none() && !m.runs.is_empty()).collect();
        let measured: Vec<&Measured<'_>> = timed.iter().map(|(m, _)| *m).collect();
        let panel = |name: String| Panel { lines: panel_lines(&timed, look, &name), name };
        let panels: Vec<Panel> = slowest_calls(&measured, PANELS).into_iter().map(panel).collect();
        let lines = || panels.iter().flat_map(|p| &p.lines);
        let times = || lines().flat_map(|l| &l.times).copied();
        let low = times().fold(f64::INFINITY, f64::min).min(1e7);
        let high = times().fold(low, f64::max);
        let nines = lines().map(|l| l.calls.log10()).fold(3.1, f64::max).min(4.3);
        Self { look, timed, low: low / 1.3, high: high * 1.3, nines, panels }
    }

    /// Returns the vertical position below the last bar, in pixels.
    fn bars_end(&self) -> i32 {
        HEAD + BAR * self.timed.len() as i32
    }

    /// Returns the height of the whole picture, in pixels.
    fn height(&self) -> i32 {
        self.bars_end() + 60 + PANEL * self.panels.len().div_ceil(2) as i32
    }

    /// Draws the whole picture: the head, the bars, and the panels in two columns.
    fn draw(&self, bench: &Bench<'_>, on: &dyn Canvas) -> Result<()> {
        self.draw_head(bench, on)?;
        self.draw_bars(bench, on)?;
        let top = self.bars_end() + 44;
        let what = "times of calls: the percentile of calls that took at most so long (points: \
                    fewer than 20 calls)";
        on.text(what, (EDGE, top - 16), 14, self.look.text, Align::Left)?;
        for (i, panel) in self.panels.iter().enumerate() {
            let half = WIDTH / 2;
            let at = ((i as i32 % 2) * half, top + (i as i32 / 2) * PANEL);
            self.draw_panel(panel, at, half, on)?;
        }
        Ok(())
    }

    /// Draws the title, where and how fast the trace was recorded, and the legend of colours.
    fn draw_head(&self, bench: &Bench<'_>, on: &dyn Canvas) -> Result<()> {
        let uname = rustix::system::uname();
        let here = uname.nodename().to_string_lossy();
        let repeats = format_counted(bench.repeats as u64, "repeat", "repeats");
        let title = format!("{} replayed on {here}: medians of {repeats}", bench.trace);
        on.text(&title, (EDGE, 26), 20, self.look.text, Align::Left)?;
        let cost =
            recording_overhead(&bench.engine).map(|cost| format!(": {cost}")).unwrap_or_default();
        let host = Some(&bench.host).filter(|host| !host.is_empty());
        let host = host.map(|host| format!(" on {host}")).unwrap_or_default();
        let (took, engine) = (bench.recorded_s, &bench.engine);
        let from = format!("recorded{host} in {took:.3} s ({engine}){cost}");
        on.text(&from, (EDGE, 52), 13, self.look.faint, Align::Left)?;
        let recorded = (format!("recorded ({engine})"), self.look.recorded);
        let targets = self.timed.iter().map(|(m, colour)| (m.target.name.clone(), *colour));
        let mut x = EDGE;
        for (name, colour) in targets.chain([recorded]) {
            on.bar((x, 76), (x + 18, 84), colour)?;
            on.text(&name, (x + 25, 80), 14, self.look.text, Align::Left)?;
            x += 25 + on.width(&name, 14)? * 6 / 5 + 24;
        }
        Ok(())
    }

    /// Draws a bar for each target, as long as the median of its replays, with the range and the
    /// figures.
    fn draw_bars(&self, bench: &Bench<'_>, on: &dyn Canvas) -> Result<()> {
        on.text("elapsed", (EDGE, HEAD - 24), 14, self.look.text, Align::Left)?;
        let width = |m: &Measured<'_>| on.width(&m.target.name, 13);
        let names = self.timed.iter().map(|(m, _)| width(m)).collect::<Result<Vec<_>>>()?;
        let from = EDGE + names.into_iter().max().unwrap_or(0) * 6 / 5 + 14;
        let longest = self.timed.iter().map(|(m, _)| range(m).1).fold(1e-9, f64::max);
        let x = |seconds: f64| from + (seconds / longest * f64::from(WIDTH - from - 250)) as i32;
        for (i, (m, colour)) in self.timed.iter().enumerate() {
            let y = HEAD + BAR * i as i32;
            let middle = y + BAR / 2 - 4;
            let (low, high) = range(m);
            on.text(&m.target.name, (from - 10, middle), 13, self.look.text, Align::Right)?;
            on.bar((from, y), (x(m.elapsed()), y + BAR - 8), *colour)?;
            on.line(&[(x(low), middle), (x(high), middle)], self.look.text, 1)?;
            for end in [x(low), x(high)] {
                on.line(&[(end, middle - 4), (end, middle + 4)], self.look.text, 1)?;
            }
            let mut figures = format!("{:.3} s", m.elapsed());
            if bench.repeats > 1 {
                figures += &format!(" ({low:.3} to {high:.3})");
            }
            on.text(&figures, (x(high) + 10, middle), 13, self.look.text, Align::Left)?;
        }
        Ok(())
    }

    /// Draws the panel of one call at the position `at`: for each target the curve of its times
    /// over percentiles, or points if there are too few calls for a curve.
    fn draw_panel(&self, panel: &Panel, at: (i32, i32), width: i32, on: &dyn Canvas) -> Result<()> {
        let (left, right) = (at.0 + EDGE + 52, at.0 + width - EDGE);
        let (top, bottom) = (at.1 + 36, at.1 + PANEL - 40);
        let inside = (right - left, bottom - top);
        let x = |us: f64| {
            let share = (us.max(SHORTEST) / self.low).ln() / (self.high / self.low).ln();
            left + (share * f64::from(inside.0)) as i32
        };
        let y = |nines: f64| bottom - (nines / self.nines * f64::from(inside.1)) as i32;
        let calls = panel.lines.last().map_or(0.0, |line| line.calls);
        let title = format!("{}, {}", panel.name, format_counted(calls as u64, "call", "calls"));
        on.text(&title, (left, at.1 + 18), 15, self.look.text, Align::Left)?;
        for (q, label) in MARKS {
            let nines = -(1.0 - q).log10();
            if nines <= self.nines {
                on.line(&[(left, y(nines)), (right, y(nines))], self.look.grid, 1)?;
                on.text(label, (left - 8, y(nines)), 12, self.look.faint, Align::Right)?;
            }
        }
        for (us, label) in LABELS.iter().filter(|(us, _)| (self.low..self.high).contains(us)) {
            on.line(&[(x(*us), top), (x(*us), bottom)], self.look.grid, 1)?;
            on.text(label, (x(*us), bottom + 14), 12, self.look.faint, Align::Middle)?;
        }
        for line in &panel.lines {
            if line.calls < FEW {
                for (us, nines) in line.points() {
                    on.dot((x(us), y(nines)), line.colour)?;
                }
            } else {
                let points: Vec<_> = line.curve().map(|(us, nines)| (x(us), y(nines))).collect();
                on.line(&points, line.colour, 2)?;
            }
        }
        Ok(())
    }
}

impl Line {
    /// Returns a point for each single call: its time in microseconds, and its percentile as a
    /// number of nines.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        (0..self.calls as usize).map(|i| {
            let share = (i as f64 + 0.5) / self.calls;
            let at = QUANTILES.partition_point(|q| *q < share).min(QUANTILES.len() - 1);
            (self.times[at], -(1.0 - share).log10())
        })
    }

    /// Returns the points of the curve: times in microseconds, and percentiles as numbers of nines.
    /// The last percentile is limited to the one call of all that took longest.
    fn curve(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let most = self.calls.log10();
        QUANTILES.iter().zip(&self.times).map(move |(q, us)| (*us, (-(1.0 - q).log10()).min(most)))
    }
}

/// Returns the lines of one panel for the call `name`: that of the recording, and that of each
/// target. Those without calls are left out.
fn panel_lines(timed: &[(&Measured<'_>, RGBColor)], look: &Look, name: &str) -> Vec<Line> {
    let line = |m: &Measured<'_>, side: &str, curve: &str, colour| {
        let at = |i: usize| {
            let each = m.runs.iter().filter_map(|r| r.latency.get(name)?[curve][i].as_f64());
            median(each).max(SHORTEST)
        };
        let calls = median(times(m, name, side, "count").into_iter());
        Line { colour, calls, times: (0..QUANTILES.len()).map(at).collect() }
    };
    let recorded = timed.first().map(|(m, _)| line(m, "recorded", "recorded_curve", look.recorded));
    let replayed = timed.iter().map(|(m, colour)| line(m, "replayed", "replayed_curve", *colour));
    recorded.into_iter().chain(replayed).filter(|line| line.calls > 0.0).collect()
}
