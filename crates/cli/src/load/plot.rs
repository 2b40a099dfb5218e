//! A picture of a sweep: what a leg costs in floors, and how long its sound takes, for each number of legs.

use std::fmt::Write;

use sim::load::{Report, Times};

/// The picture's size, in the units of SVG.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
/// Lines of a scale, at most.
const LINES_MAX: f64 = 6.0;
/// Readable on a light page and on a dark one.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2933}.head{font-size:15px;font-weight:600}.small{font-size:12px}\
.page{fill:#ffffff}.grid{stroke:#d9dee4;stroke-width:1}.axis{stroke:#7b8794;stroke-width:1}\
.line{fill:none;stroke:#1d5fc4;stroke-width:2}.dot,.half{fill:#1d5fc4}.most{fill:#a9c6f2}\
.floor{fill:#aeb6bf}.floormost{fill:#dfe3e8}.floorline{stroke:#7b8794;stroke-width:1.5;stroke-dasharray:5 4}\
.middle{stroke:#ffffff;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e4e9ee}.page{fill:#12171d}.grid{stroke:#2c353f}\
.axis,.floorline{stroke:#8a96a3}.line{stroke:#7ab0ff}.dot,.half{fill:#7ab0ff}.most{fill:#2c4f85}\
.floor{fill:#76818d}.floormost{fill:#39434e}.middle{stroke:#12171d}}";

/// One size of a sweep.
#[derive(Debug)]
pub struct Size<'a> {
    /// How many legs were asked for.
    pub legs: usize,
    /// What was seen of the server.
    pub server: &'a Report,
    /// And of the reflector, where it was measured.
    pub floor: Option<&'a Report>,
}

impl Size<'_> {
    /// What a leg costs: in floors, or in milliseconds of processor a second where there is no floor.
    fn cost(&self) -> Option<f64> {
        let floor = self.floor.map_or(Some(1.0), |floor| floor.cpu_ms).filter(|&ms| ms > 0.0)?;
        Some(self.server.cpu_ms? / floor)
    }
}

/// Draws a sweep; `load` says what was run.
pub fn svg(load: &str, sizes: &[Size<'_>]) -> String {
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>Cost and delay by number of legs: {load}</title><style>{STYLE}</style>\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>",
        load = escaped(load),
    );
    let panel = |left: f64, most: f64| Panel { left, width: 390.0, top: 76.0, height: 250.0, most };
    let floors = sizes.iter().all(|size| size.floor.is_some());
    let unit = if floors { "floors" } else { "ms of processor a leg-second" };
    let costs = sizes.iter().filter_map(Size::cost).fold(0.0, f64::max);
    cost(&mut svg, &panel(62.0, costs.max(if floors { 1.5 } else { 0.0 })), sizes, (floors, unit));
    let reports = sizes.iter().flat_map(|size| [Some(size.server), size.floor]).flatten();
    let longest = reports.map(|report| percentile_ms(&report.delay, 99.0)).fold(0.0, f64::max);
    delay(&mut svg, &panel(542.0, longest), sizes);
    text(&mut svg, (WIDTH / 2.0, HEIGHT - 12.0), "small", "middle", load);
    svg + "</svg>\n"
}

/// Draws what a leg costs, as a line.
fn cost(svg: &mut String, panel: &Panel, sizes: &[Size<'_>], (floors, unit): (bool, &str)) {
    panel.draw(svg, "Cost of a leg", unit, sizes);
    if floors {
        let y = panel.y(1.0);
        let (left, right) = (panel.left, panel.left + panel.width);
        let _ = writeln!(
            svg,
            "<line class=\"floorline\" x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>"
        );
        text(svg, (right, y + 16.0), "small", "end", "the reflector: what the kernel costs");
    }
    let points: Vec<(f64, f64, f64)> = sizes
        .iter()
        .enumerate()
        .filter_map(|(place, size)| {
            let cost = size.cost()?;
            Some((panel.x(place, sizes.len()), panel.y(cost), cost))
        })
        .collect();
    let line: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", line.join(" "));
    for (x, y, cost) in points {
        let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        text(svg, (x, y - 10.0), "small", "middle", &format!("{cost:.2}"));
    }
}

/// Draws how long sound takes: a bar from the 5th to the 99th percentile, one from the 25th to the 75th, the median.
fn delay(svg: &mut String, panel: &Panel, sizes: &[Size<'_>]) {
    panel.draw(svg, "Delay of sound", "ms", sizes);
    let across = (panel.width / sizes.len().max(1) as f64 * 0.22).min(24.0);
    for (place, size) in sizes.iter().enumerate() {
        let middle = panel.x(place, sizes.len());
        let bars = [
            (Some(size.server), -across - 2.0, "most", "half"),
            (size.floor, 2.0, "floormost", "floor"),
        ];
        for (report, beside, most, half) in bars {
            let Some(times) = report.map(|it| &it.delay).filter(|it| it.count() > 0) else {
                continue;
            };
            let x = middle + beside;
            let y = |percent| panel.y(percentile_ms(times, percent));
            for (class, from, to) in [(most, 5.0, 99.0), (half, 25.0, 75.0)] {
                let (top, height) = (y(to), (y(from) - y(to)).max(1.0));
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{across:.1}\" \
                     height=\"{height:.1}\" rx=\"2\"/>"
                );
            }
            let (right, y) = (x + across, y(50.0));
            let _ = writeln!(
                svg,
                "<line class=\"middle\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>"
            );
        }
    }
    let (left, y) = (panel.left + panel.width, panel.top - 14.0);
    let key = "5 to 99 %, 25 to 75 %, median; grey: the reflector";
    text(svg, (left, y), "small", "end", key);
}

/// One of the two diagrams.
struct Panel {
    left: f64,
    width: f64,
    top: f64,
    height: f64,
    /// What its scale must reach.
    most: f64,
}

impl Panel {
    /// Returns the step of its scale, and where that ends.
    fn scale(&self) -> (f64, f64) {
        let most = if self.most.is_finite() && self.most > 0.0 { self.most * 1.1 } else { 1.0 };
        let power = 10_f64.powf((most / LINES_MAX).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = step.into_iter().find(|step| most / step <= LINES_MAX).unwrap_or(most);
        (step, (most / step).ceil() * step)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - (value / self.scale().1).clamp(0.0, 1.0))
    }

    fn x(&self, place: usize, of: usize) -> f64 {
        self.left + self.width * (place as f64 + 0.5) / of.max(1) as f64
    }

    /// Draws its heading and its axes.
    fn draw(&self, svg: &mut String, head: &str, unit: &str, sizes: &[Size<'_>]) {
        let (bottom, right) = (self.top + self.height, self.left + self.width);
        text(svg, (self.left - 40.0, 28.0), "head", "start", head);
        text(svg, (self.left - 40.0, self.top - 14.0), "small", "start", unit);
        let (step, end) = self.scale();
        for line in 0..=(end / step).round() as usize {
            let value = step * line as f64;
            let (y, class) = (self.y(value), if line == 0 { "axis" } else { "grid" });
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>",
                self.left
            );
            let places = if step < 0.1 { 2 } else { usize::from(step < 1.0) };
            let value = format!("{value:.places$}");
            text(svg, (self.left - 8.0, y + 4.0), "small", "end", &value);
        }
        for (place, size) in sizes.iter().enumerate() {
            let x = self.x(place, sizes.len());
            text(svg, (x, bottom + 18.0), "small", "middle", &size.legs.to_string());
        }
        text(svg, (self.left + self.width / 2.0, bottom + 38.0), "small", "middle", "legs");
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn percentile_ms(times: &Times, percent: f64) -> f64 {
    times.percentile(percent).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(cpu_ms: Option<f64>, delays_ms: std::ops::Range<u64>) -> Report {
        let mut report = Report { cpu_ms, ..Report::default() };
        delays_ms.for_each(|ms| report.delay.note(Duration::from_millis(ms)));
        report
    }

    #[track_caller]
    fn check(sizes: &[Size<'_>], says: &[&str]) {
        let svg = svg("G.711 & <others>", sizes);
        let read = roxmltree::Document::parse(&svg).expect(&svg);
        let texts: Vec<&str> = read.descendants().filter_map(|node| node.text()).collect();
        for said in says {
            assert!(texts.contains(said), "{said}: {texts:?}");
        }
        for number in read.descendants().flat_map(|node| node.attributes()) {
            assert!(!number.value().contains("NaN") && !number.value().contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_sweep_is_drawn_with_its_figures_and_units() {
        let (server, floor) = (report(Some(0.6), 10..40), report(Some(0.4), 0..20));
        let of = |legs, floor| Size { legs, server: &server, floor };
        check(
            &[of(100, Some(&floor)), of(4_000, Some(&floor))],
            &["floors", "ms", "legs", "100", "4000", "1.50", "G.711 & <others>"],
        );
        check(&[of(20, None)], &["ms of processor a leg-second", "0.60"]);
    }

    #[test]
    fn where_nothing_was_seen_there_is_a_picture_all_the_same() {
        let nothing = report(None, 0..0);
        check(&[Size { legs: 1, server: &nothing, floor: Some(&nothing) }], &["1"]);
        check(&[], &["legs"]);
    }
}
