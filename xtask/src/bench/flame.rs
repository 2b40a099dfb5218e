//! Where the loop of the media threads spends its time: samples of the kernel's `perf`, as a table and a flame graph.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{BINARY, Picture};
use crate::shell::Shell;
use crate::start::Running;

pub const PICTURES: &[Picture] = &[Picture {
    file: "performance-flame.svg",
    shows: "Flame graph of the media threads, 400 legs in rooms of 4",
    flags: &[],
}];

/// The load, and how long it takes until all of its calls are up and settled.
const LOAD: [&str; 8] = ["load", "--legs", "400", "--room-size", "4", "--for", "24s", "--data"];
const SETTLED_AFTER: Duration = Duration::from_secs(8);
/// How the threads' names begin, and the function that calls everything in the picture: the standard library's, into
/// which the loop itself may be inlined.
const THREAD: &str = "media";
const ROOT: &str = "__rust_begin_short_backtrace";
/// The picture, in the units of SVG.
const WIDTH: f64 = 1_200.0;
const ROW: f64 = 18.0;
const LETTER: f64 = 6.6;
/// Rows that are drawn, and how wide one must be, of all.
const DEPTH_MAX: usize = 40;
const SHARE_MIN: f64 = 0.002;
/// Readable on a light page and on a dark one.
const STYLE: &str = "text{font:11px ui-monospace,monospace;fill:#1f2933}.head{font:600 15px system-ui,sans-serif}\
.page{fill:#ffffff}.ours{fill:#f5b461}.kernel{fill:#b9c9dd}rect{stroke:#ffffff;stroke-width:.6}\
@media(prefers-color-scheme:dark){text{fill:#e4e9ee}.page{fill:#12171d}.ours{fill:#8a5a1c}.kernel{fill:#3b4f69}\
rect{stroke:#12171d}}";

/// Samples a server under load.
///
/// # Errors
/// One line, where there is no `perf` or it may not sample.
pub fn measure(shell: &Shell) -> Result<(String, String), String> {
    let folder = shell.path("target/flame");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let server = Running::start(&shell.path(BINARY), &folder.join("data"))?;
    let mut load = Command::new(shell.path(BINARY))
        .args(LOAD)
        .arg(folder.join("data"))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    std::thread::sleep(SETTLED_AFTER);
    let file = folder.join("perf.data").display().to_string();
    let pid = server.ready["pid"].to_string();
    let line =
        ["perf", "record", "-F", "499", "--call-graph", "dwarf,16384", "-o", &file, "-p", &pid];
    let recorded = shell.output(&[&line[..], &["--", "sleep", "12"]].concat());
    let _ = load.wait();
    drop(server);
    let recorded = recorded?;
    let line = ["perf", "script", "-i", &file, "--no-inline", "-F", "comm,ip,sym"];
    let graph = Graph::of(&shell.output(&line)?);
    if graph.samples == 0 {
        let last = recorded.lines().last().unwrap_or_default();
        return Err(format!("perf saw nothing of {ROOT}: {last}"));
    }
    let Picture { file, shows, .. } = &PICTURES[0];
    let drawn = shell.path("target").join(file);
    std::fs::write(&drawn, graph.svg(shows)).map_err(|error| error.to_string())?;
    let table = format!("\n{}\n![{shows}]({file})\n\n", graph.table());
    Ok((table, format!("{} samples of the media threads", graph.samples)))
}

/// Samples, by who was called by whom.
#[derive(Debug, Default)]
struct Graph {
    samples: usize,
    root: Node,
    /// In the order of [`PARTS`].
    parts: [usize; PARTS.len()],
}

/// What samples are told apart by: a word of a function's name, for those in the kernel.
const PARTS: [(&str, &str); 4] = [
    ("system calls that send", "send"),
    ("system calls that receive", "recv"),
    ("other system calls", ""),
    ("our own code: buffers, codecs, mix, packets", ""),
];

#[derive(Debug, Default)]
struct Node {
    samples: usize,
    in_kernel: bool,
    callees: BTreeMap<String, Node>,
}

impl Graph {
    /// Reads what `perf script` prints: a line for each sample, below it its functions, the innermost first.
    fn of(script: &str) -> Self {
        let mut graph = Self::default();
        for sample in script.split("\n\n") {
            let frames: Vec<(bool, &str)> = sample.lines().skip(1).filter_map(frame).collect();
            let root = frames.iter().rposition(|(_, name)| name.contains(ROOT));
            if let Some(root) = root.filter(|_| sample.trim_start().starts_with(THREAD)) {
                graph.add(&frames[..=root]);
            }
        }
        graph
    }

    fn add(&mut self, frames: &[(bool, &str)]) {
        self.samples += 1;
        let named = |word: &str| frames.iter().any(|(_, name)| name.contains(word));
        let part = match frames.first().is_some_and(|(in_kernel, _)| *in_kernel) {
            true => PARTS[..2].iter().position(|(_, word)| named(word)).unwrap_or(2),
            false => 3,
        };
        self.parts[part] += 1;
        let mut node = &mut self.root;
        node.samples += 1;
        for (in_kernel, name) in frames.iter().rev().take(DEPTH_MAX) {
            node = node.callees.entry((*name).to_owned()).or_default();
            node.samples += 1;
            node.in_kernel = *in_kernel;
        }
    }

    fn table(&self) -> String {
        let mut table = "| Of the media threads' time | percent |\n|---|---|\n".to_owned();
        for ((name, _), samples) in PARTS.iter().zip(self.parts) {
            let percent = samples as f64 * 100.0 / self.samples.max(1) as f64;
            let _ = writeln!(table, "| {name} | {percent:.0} |");
        }
        table
    }

    fn svg(&self, head: &str) -> String {
        let rows = self.root.depth().min(DEPTH_MAX) as f64;
        let height = rows * ROW + 44.0;
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
             <title>{head}</title><style>{STYLE}</style>\
             <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\
             <text class=\"head\" x=\"8\" y=\"22\">{head}</text>\
             <text x=\"{}\" y=\"22\" text-anchor=\"end\">{} samples; orange ours, blue the kernel's</text>",
            WIDTH - 8.0,
            self.samples,
        );
        self.draw(&mut svg, &self.root, 0.0, height);
        svg + "</svg>\n"
    }

    /// Draws what a function calls, in the row above it.
    fn draw(&self, svg: &mut String, node: &Node, left: f64, bottom: f64) {
        let mut x = left;
        for (name, callee) in &node.callees {
            let share = callee.samples as f64 / self.samples as f64;
            let width = share * WIDTH;
            if share >= SHARE_MIN {
                let (y, class) = (bottom - ROW, if callee.in_kernel { "kernel" } else { "ours" });
                let (whole, shown) = (escaped(name), escaped(&fitting(name, width)));
                let _ = writeln!(
                    svg,
                    "<g><title>{whole}: {:.1} %</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
                     width=\"{width:.1}\" height=\"{ROW}\"/><text x=\"{:.1}\" y=\"{:.1}\">{shown}</text></g>",
                    share * 100.0,
                    x + 3.0,
                    y + 13.0,
                );
                self.draw(svg, callee, x, y);
            }
            x += width;
        }
    }
}

impl Node {
    fn depth(&self) -> usize {
        self.callees.values().map(|callee| callee.depth() + 1).max().unwrap_or(0)
    }
}

/// Reads one function of a sample: whether it is the kernel's, and its name.
fn frame(line: &str) -> Option<(bool, &str)> {
    let (address, name) = line.trim().split_once(' ')?;
    Some((address.len() == 16 && address.starts_with("ffff"), name))
}

/// Returns as much of a name as there is room for, the end of it first.
fn fitting(name: &str, width: f64) -> String {
    let name = name.replace(['<', '>'], "");
    let room = ((width - 6.0) / LETTER).max(0.0) as usize;
    let short = name.rsplit("::").next().unwrap_or_default();
    match room {
        ..3 => String::new(),
        room if name.len() <= room => name,
        room => short.chars().take(room).collect(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "media 0 \n\tffffffff81e35126 udp_sendmsg\n\t          10ad0c __libc_sendto\n\
        \t         109d689 std::sys::backtrace::__rust_begin_short_backtrace\n\t          1098eb clone3\n\n\
        media 0 \n\tffffffff81e35126 udp_recvmsg\n\t         109d689 std::sys::backtrace::__rust_begin_short_backtrace\n\n\
        media 0 \n\t         109d000 <media::shard::Shard>::handle_part\n\t         109d689 std::sys::backtrace::__rust_begin_short_backtrace\n\n\
        media 0 \n\tffffffff81e35126 hrtimer_nanosleep\n\t         109d689 std::sys::backtrace::__rust_begin_short_backtrace\n\n\
        store 8 \n\t         109d000 sqlite3_step\n\n";

    #[test]
    fn samples_of_the_loop_are_told_apart_and_drawn() {
        let graph = Graph::of(SCRIPT);
        assert_eq!((graph.samples, graph.parts), (4, [1, 1, 1, 1]));
        assert!(graph.table().contains("| system calls that send | 25 |"), "{}", graph.table());
        let svg = graph.svg("The loop");
        assert!(svg.contains("&lt;media::shard::Shard&gt;::handle_part: 25.0 %"), "{svg}");
        assert!(
            svg.contains("__rust_begin_short_backtrace: 100.0 %") && !svg.contains("sqlite"),
            "{svg}"
        );
        assert_eq!(svg.matches("<g>").count(), svg.matches("</g>").count());
    }

    #[test]
    fn a_name_is_shown_as_far_as_there_is_room() {
        assert_eq!(
            fitting("<media::shard::Shard>::handle_part", 600.0),
            "media::shard::Shard::handle_part"
        );
        assert_eq!(fitting("<media::shard::Shard>::handle_part", 90.0), "handle_part");
        assert_eq!(fitting("udp_sendmsg", 40.0), "udp_s");
        assert_eq!(fitting("udp_sendmsg", 10.0), "");
    }

    #[test]
    fn nothing_makes_an_empty_picture() {
        assert!(Graph::of("perf: not permitted\n").svg("The loop").ends_with("</svg>\n"));
    }
}
