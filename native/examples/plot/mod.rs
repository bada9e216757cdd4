//! Plots as SVG: curves of points over two axes, a legend at the right.

use std::fmt::Write as _;

const COLOURS: [&str; 8] = ["#1f5fa8", "#c2452d", "#2e8b57", "#8a4fb0", "#b8860b", "#444444", "#d66ba0", "#3aa6a6"];
/// Left, right, top and bottom of what is plotted.
const FRAME: [f64; 4] = [72.0, 552.0, 40.0, 330.0];

/// How values become places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale {
    /// Equal factors are.
    Log,
    /// Equal factors of what is missing to 1: 0.9, 0.99 and 0.999.
    Errors,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Log => value.max(1e-12).ln(),
            Self::Errors => -(1.0 - value).max(1e-4).ln(),
        }
    }
}

/// An axis from its first tick to its last.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What it shows, with the unit.
    pub(crate) name: String,
    pub(crate) scale: Scale,
    /// Ascending values and their labels.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    pub(crate) fn new(name: &str, scale: Scale, ticks: &[f64]) -> Self {
        Self { name: name.to_owned(), scale, ticks: ticks.iter().map(|&tick| (tick, short(tick))).collect() }
    }

    /// From 0 to 1, over the places of the first and the last tick.
    fn share(&self, value: f64) -> f64 {
        let ends = [self.ticks.first(), self.ticks.last()].map(|tick| tick.map_or(0.0, |tick| self.scale.place(tick.0)));
        ((self.scale.place(value) - ends[0]) / (ends[1] - ends[0]).max(1e-12)).clamp(0.0, 1.0)
    }
}

/// A number in few letters: 1500 is 1.5 k.
pub(crate) fn short(value: f64) -> String {
    let units = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (unit, name) = units.into_iter().find(|(unit, _)| value.abs() >= *unit).unwrap_or((1.0, ""));
    format!("{}{name}", (value / unit * 1000.0).round() / 1000.0)
}

/// A curve.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// What follows from a fit, not from a measurement.
    pub(crate) dashed: bool,
}

/// The whole picture.
pub(crate) fn svg(title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let [left, right, top, bottom] = FRAME;
    let across = |value: f64| left + (right - left) * x.share(value);
    let up = |value: f64| bottom - (bottom - top) * y.share(value);
    let mut svg = String::from(concat!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 390\" font-family=\"sans-serif\" font-size=\"12\">\n",
        "<rect width=\"800\" height=\"390\" fill=\"#fff\"/>\n"
    ));
    let mut text = |x: f64, y: f64, more: &str, text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{more}>{text}</text>");
    };
    text(left, 22.0, " font-size=\"14\"", title);
    text(f64::midpoint(left, right), 376.0, " text-anchor=\"middle\"", &x.name);
    let middle = f64::midpoint(top, bottom);
    text(16.0, middle, &format!(" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle:.1})\""), &y.name);
    x.ticks.iter().for_each(|(value, label)| text(across(*value), bottom + 18.0, " text-anchor=\"middle\"", label));
    y.ticks.iter().for_each(|(value, label)| text(left - 6.0, up(*value) + 4.0, " text-anchor=\"end\"", label));
    for (number, curve) in curves.iter().enumerate() {
        text(right + 44.0, 52.0 + 20.0 * number as f64, "", &curve.name);
    }
    for (value, _) in &x.ticks {
        let _ = writeln!(svg, "<path d=\"M{:.1} {top}V{bottom}\" stroke=\"#ddd\"/>", across(*value));
    }
    for (value, _) in &y.ticks {
        let _ = writeln!(svg, "<path d=\"M{left} {:.1}H{right}\" stroke=\"#ddd\"/>", up(*value));
    }
    for (number, curve) in curves.iter().enumerate() {
        let line = format!(
            " fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}",
            COLOURS[number % COLOURS.len()],
            if curve.dashed { " stroke-dasharray=\"6 4\"" } else { "" }
        );
        let points: Vec<String> = curve.points.iter().map(|&(x, y)| format!("{:.1},{:.1}", across(x), up(y))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\"{line}/>", points.join(" "));
        let _ = writeln!(svg, "<path d=\"M{:.0} {:.0}h26\"{line}/>", right + 14.0, 48.0 + 20.0 * number as f64);
        if !curve.dashed {
            for point in points {
                let (x, y) = point.split_once(',').unwrap_or_default();
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{}\"/>", COLOURS[number % COLOURS.len()]);
            }
        }
    }
    svg + "</svg>\n"
}
