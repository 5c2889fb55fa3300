//! How both releases do while a canary runs, or a release is observed.

use std::fmt::Write as _;

use serde::Serialize;

/// A release's answers so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// Requests since the canary began, or since the switch.
    pub requests: u64,
    /// Those that were answered with an error.
    pub errors: u64,
    /// The median of the answers' times, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Their 95th percentile.
    pub p95_ms: Option<f64>,
}

/// Both releases of an app, as the server saw them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Slots {
    /// The app.
    pub app: String,
    /// The share of the visitors that the new release gets, in percent.
    pub share: u8,
    /// Seconds until the next share, or until the end.
    pub seconds_left: u64,
    /// The new release.
    pub new: Side,
    /// The one before.
    pub old: Side,
}

impl Slots {
    /// Reads what the journal has of it; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [app, share, left, new @ ..] = words.as_slice() else { return None };
        let [new, old] = [new.get(..4)?, new.get(4..8)?].map(Side::parse);
        let is_name =
            |name: &str| name.len() <= 100 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let app = Some(*app).filter(|app| is_name(app))?.to_owned();
        Some(Self { app, share: share.parse().ok()?, seconds_left: left.parse().ok()?, new: new?, old: old? })
    }
}

impl Side {
    fn parse(words: &[&str]) -> Option<Self> {
        let [requests, errors, p50, p95] = words else { return None };
        let time = |word: &str| word.parse::<f64>().ok().filter(|time| time.is_finite());
        Some(Self { requests: requests.parse().ok()?, errors: errors.parse().ok()?, p50_ms: time(p50), p95_ms: time(p95) })
    }

    fn line(&self) -> String {
        let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} ms"));
        format!(
            "{:>7} requests {:>5} errors  p50 {:>9}  p95 {:>9}",
            self.requests,
            self.errors,
            time(self.p50_ms),
            time(self.p95_ms)
        )
    }
}

/// What has been seen of one app so far, for a picture that moves.
#[derive(Debug, Default)]
pub(super) struct Picture {
    seen: Vec<Slots>,
}

/// As many of the last looks are drawn.
const DRAWN: usize = 20;
/// As many looks are kept for the end.
const KEPT: usize = 4000;

impl Picture {
    pub(super) fn see(&mut self, slots: &Slots) {
        if self.seen.len() == KEPT {
            self.seen.remove(0);
        }
        self.seen.push(slots.clone());
    }

    fn apps(&self) -> Vec<&str> {
        let mut apps: Vec<&str> = Vec::new();
        for slots in &self.seen {
            if !apps.contains(&slots.app.as_str()) {
                apps.push(&slots.app);
            }
        }
        apps
    }

    fn of(&self, app: &str) -> Vec<&Slots> {
        self.seen.iter().filter(|slots| slots.app == app).collect()
    }

    /// Both releases side by side, with the requests of each look as a line of bars.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for app in self.apps() {
            let seen = self.of(app);
            let Some(last) = seen.last() else { continue };
            lines.push(format!("{app}: {} % of the visitors get the new release, {} s left", last.share, last.seconds_left));
            lines.push(format!("  new {} {}", bars(&seen, |slots| slots.new.requests), last.new.line()));
            lines.push(format!("  old {} {}", bars(&seen, |slots| slots.old.requests), last.old.line()));
        }
        lines
    }

    /// A table with the last look at each share, and a chart of the times, in Markdown.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::new();
        for app in self.apps() {
            let seen = self.of(app);
            let _ = write!(
                text,
                "\n**{app}** with both releases\n\n| share | requests, new | errors | p50 | p95 | requests, before | errors | p50 | p95 |\n\
                 | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            );
            let ends =
                seen.iter().enumerate().filter(|(at, slots)| seen.get(at + 1).is_none_or(|next| next.share != slots.share));
            for (_, slots) in ends {
                let time = |time: Option<f64>| time.map_or_else(String::new, |time| format!("{time:.1} ms"));
                let side =
                    |side: &Side| format!("{} | {} | {} | {}", side.requests, side.errors, time(side.p50_ms), time(side.p95_ms));
                let _ = writeln!(text, "| {} % | {} | {} |", slots.share, side(&slots.new), side(&slots.old));
            }
            text.push_str(&chart(&seen));
        }
        text
    }
}

/// The 95th percentiles over time, sixty points of each at most.
fn chart(seen: &[&Slots]) -> String {
    let known: Vec<&&Slots> = seen.iter().filter(|slots| slots.new.p95_ms.is_some() && slots.old.p95_ms.is_some()).collect();
    if known.len() < 2 {
        return String::new();
    }
    let every = known.len().div_ceil(60);
    let line = |of: fn(&Slots) -> Option<f64>| {
        let points: Vec<String> =
            known.iter().step_by(every).filter_map(|slots| of(slots)).map(|time| format!("{time:.1}")).collect();
        points.join(", ")
    };
    format!(
        "\n```mermaid\nxychart-beta\n    title \"95th percentile in ms: the new release, then the one before\"\n    line [{}]\n    line [{}]\n```\n",
        line(|slots| slots.new.p95_ms),
        line(|slots| slots.old.p95_ms)
    )
}

/// What came between two looks, each a bar as high as its share of the most.
fn bars(seen: &[&Slots], of: fn(&Slots) -> u64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let grown: Vec<u64> = seen.windows(2).map(|pair| of(pair[1]).saturating_sub(of(pair[0]))).collect();
    let last = &grown[grown.len().saturating_sub(DRAWN)..];
    let most = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| BARS[usize::try_from(count * 7 / most).unwrap_or(7).min(7)];
    format!("{:>DRAWN$}", last.iter().map(bar).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let mut picture = Picture::default();
        for (share, left, new, old) in [(5, 20, 2, 100), (5, 18, 6, 190), (5, 0, 11, 280), (25, 30, 20, 300), (25, 0, 90, 520)] {
            let slots = Slots::parse(&format!("web {share} {left} {new} 1 8.0 12.5 {old} 2 7.5 11.0")).unwrap();
            picture.see(&slots);
        }
        picture
    }

    #[test]
    fn both_releases_stand_side_by_side() {
        insta::assert_snapshot!(picture().lines().join("\n"), @r#"
        web: 25 % of the visitors get the new release, 0 s left
          new                 ▁▁▁█      90 requests     1 errors  p50    8.0 ms  p95   12.5 ms
          old                 ▃▃▁█     520 requests     2 errors  p50    7.5 ms  p95   11.0 ms
        "#);
    }

    #[test]
    fn the_summary_has_a_row_for_each_share() {
        insta::assert_snapshot!(picture().to_markdown(), @r#"
        **web** with both releases

        | share | requests, new | errors | p50 | p95 | requests, before | errors | p50 | p95 |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 5 % | 11 | 1 | 8.0 ms | 12.5 ms | 280 | 2 | 7.5 ms | 11.0 ms |
        | 25 % | 90 | 1 | 8.0 ms | 12.5 ms | 520 | 2 | 7.5 ms | 11.0 ms |

        ```mermaid
        xychart-beta
            title "95th percentile in ms: the new release, then the one before"
            line [12.5, 12.5, 12.5, 12.5, 12.5]
            line [11.0, 11.0, 11.0, 11.0, 11.0]
        ```
        "#);
    }

    #[test]
    fn any_text_of_a_server_is_a_look_or_none() {
        crate::fuzz::read("slots", &[b"web 5 20 2 1 8.0 12.5 100 2 - -".to_vec()], |text| {
            let Some(slots) = Slots::parse(&String::from_utf8_lossy(text)) else { return };
            let mut picture = Picture::default();
            picture.see(&slots);
            picture.see(&slots);
            let _ = (picture.lines(), picture.to_markdown());
        });
    }
}
