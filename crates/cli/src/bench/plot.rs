//! The distributions of the calls' times: for each of the calls that took longest a panel, with a line for each target and one for the recording.

use super::Measured;
use super::table::names;
use ::replay::latency::QUANTILES;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const PANELS: usize = 6;
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 135, 68),
    RGBColor(148, 78, 170),
    RGBColor(194, 120, 0),
    RGBColor(60, 60, 60),
];
const RECORDED: RGBColor = RGBColor(150, 150, 150);

/// A line: what it stands for, its colour, and the microseconds at [`QUANTILES`].
struct Line {
    label: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Draws into an SVG file.
pub fn draw(file: &Path, measured: &[Measured<'_>]) -> Result<()> {
    let names = names(measured, PANELS);
    let rows = names.len().div_ceil(2).max(1);
    let area = SVGBackend::new(file, (1100, 330 * rows as u32 + 40)).into_drawing_area();
    let failed = |e: &dyn std::fmt::Display| anyhow!("{e}");
    area.fill(&WHITE).map_err(|e| failed(&e))?;
    let area = area
        .titled(
            "How long calls take: share of calls below a time (solid: replayed, grey: recorded)",
            ("sans-serif", 20),
        )
        .map_err(|e| failed(&e))?;
    for (panel, name) in area.split_evenly((rows, 2)).iter().zip(&names) {
        let lines = lines(measured, name);
        let all = || lines.iter().flat_map(|l| &l.points).map(|p| p.0);
        let (low, high) =
            (all().fold(f64::INFINITY, f64::min).max(0.05), all().fold(0.1, f64::max));
        let mut chart = ChartBuilder::on(panel)
            .caption(name, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(52)
            .build_cartesian_2d((low * 0.8..high * 1.25).log_scale(), 0.0..100.0)
            .map_err(|e| failed(&e))?;
        let label = |us: &f64| {
            if *us >= 1000.0 { format!("{} ms", us / 1000.0) } else { format!("{us} us") }
        };
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc("time of a call")
            .y_desc("% of calls")
            .x_label_formatter(&label)
            .x_labels(6)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(WHITE)
            .draw()
            .map_err(|e| failed(&e))?;
        for line in lines {
            let colour = line.colour;
            let series = LineSeries::new(line.points, colour.stroke_width(2));
            chart.draw_series(series).map_err(|e| failed(&e))?.label(line.label).legend(
                move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)),
            );
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RECORDED)
            .draw()
            .map_err(|e| failed(&e))?;
    }
    area.present().map_err(|e| failed(&e))
}

fn lines(measured: &[Measured<'_>], name: &str) -> Vec<Line> {
    let points = |m: &Measured<'_>, curve: &str| {
        let at = |i: usize| {
            super::median(m.runs.iter().filter_map(|r| r.latency.get(name)?[curve][i].as_f64()))
        };
        QUANTILES.iter().enumerate().map(|(i, q)| (at(i).max(0.05), q * 100.0)).collect()
    };
    let recorded = measured.first().map(|m| Line {
        label: "recorded".to_owned(),
        colour: RECORDED,
        points: points(m, "recorded_curve"),
    });
    let replayed = measured.iter().enumerate().map(|(i, m)| Line {
        label: m.target.name.clone(),
        colour: COLOURS[i % COLOURS.len()],
        points: points(m, "replayed_curve"),
    });
    recorded.into_iter().chain(replayed).collect()
}
