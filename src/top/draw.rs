//! Draws the screen. In the terminal's own colours, so that it is readable on light and dark ones; without colour by signs and weight.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, TableState};

use crate::server::Metrics;
use crate::text::printable;

use super::State;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let [head, charts, apps, containers, foot] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Length(if frame.area().height >= 40 { 10 } else { 5 }),
        Constraint::Length(apps_height(state)),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, state, head);
    draw_charts(frame, state, charts);
    draw_apps(frame, state, apps);
    draw_containers(frame, state, containers);
    draw_foot(frame, state, foot);
}

impl State {
    fn coloured(&self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }
}

fn now(state: &State) -> Option<&Metrics> {
    state.shown()?.now.as_ref()
}

fn draw_head(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let mut tabs = vec![Span::styled(format!("estiba top {}  ", state.target), Style::new().add_modifier(Modifier::BOLD))];
    for (at, host) in state.hosts.iter().enumerate() {
        let style = if at == state.host { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        tabs.extend([Span::styled(format!(" {} ", host.name), style), Span::raw(" ")]);
    }
    let mut lines = vec![Line::from(tabs)];
    match (now(state), state.shown().and_then(|host| host.lost.as_ref())) {
        (_, Some(why)) => lines.push(Line::styled(format!("! {}", printable(why)), state.coloured(Color::Red))),
        (None, None) => lines.push(Line::raw("looking…")),
        (Some(metrics), None) => lines.push(Line::raw(format!("release  {}", metrics.release.as_deref().unwrap_or("none")))),
    }
    if let Some(metrics) = now(state) {
        let machine = &metrics.machine;
        lines.push(gauge(state, "cpu", machine.cpu_ratio.unwrap_or(0.0), &format!("load {:.2}", machine.load1.unwrap_or(0.0))));
        if let (Some(all), Some(free)) = (machine.memory_bytes, machine.memory_available_bytes) {
            lines.push(gauge(state, "memory", (all - free) / all.max(1.0), &format!("{:.1} GiB", all / GIB)));
        }
        if let Some(disk) = machine
            .disks
            .iter()
            .max_by(|one, other| share(one.used_bytes, one.bytes).total_cmp(&share(other.used_bytes, other.bytes)))
        {
            lines.push(gauge(
                state,
                "disk",
                share(disk.used_bytes, disk.bytes),
                &format!("{:.0} GiB at {}", disk.bytes / GIB, disk.path),
            ));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

const GIB: f64 = 1_073_741_824.0;

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A share as a bar of twenty signs.
fn gauge<'a>(state: &State, name: &str, share: f64, more: &str) -> Line<'a> {
    let full = (share.clamp(0.0, 1.0) * 20.0).round() as usize;
    let colour = match share {
        share if share >= 0.9 => Color::Red,
        share if share >= 0.75 => Color::Yellow,
        _ => Color::Green,
    };
    Line::from(vec![
        Span::raw(format!("{name:<8} ")),
        Span::styled("█".repeat(full), state.coloured(colour)),
        Span::raw("░".repeat(20 - full)),
        Span::raw(format!(" {:>5.1} %{}  {more}", share * 100.0, if share >= 0.9 { " !" } else { "" })),
    ])
}

fn draw_charts(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let Some(host) = state.shown() else { return };
    let last = |kept: &VecDeque<u64>| kept.back().copied().unwrap_or(0);
    let charts = [
        (format!("requests/s {}", last(&host.requests)), &host.requests, Color::Blue),
        (format!("cpu {} %", last(&host.cpu)), &host.cpu, Color::Green),
        (format!("p95 {:.1} ms", last(&host.slow) as f64 / 10.0), &host.slow, Color::Magenta),
    ];
    for (area, (title, kept, colour)) in areas.into_iter().zip(charts) {
        let room = usize::from(area.width.saturating_sub(2));
        let shown: Vec<u64> = kept.iter().copied().skip(kept.len().saturating_sub(room)).collect();
        let chart = Sparkline::default().block(Block::bordered().title(title)).data(shown).style(state.coloured(colour));
        frame.render_widget(chart, area);
    }
}

fn apps_height(state: &State) -> u16 {
    let slots: usize = now(state).map_or(0, |metrics| metrics.apps.iter().map(|app| app.slots.len().max(1)).sum());
    u16::try_from(slots.clamp(1, 8)).unwrap_or(8) + 1
}

fn bold(names: &[&'static str]) -> Row<'static> {
    Row::new(names.iter().map(|name| Cell::from(*name)).collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::BOLD))
}

fn draw_apps(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let rows =
        now(state).into_iter().flat_map(|metrics| &metrics.apps).flat_map(|app| app.slots.iter().map(move |slot| (app, slot)));
    let rows: Vec<Row<'_>> = rows
        .map(|(app, slot)| {
            let errors = slot.error_ratio.unwrap_or(0.0);
            let style = if errors > 0.01 { state.coloured(Color::Red) } else { Style::new() };
            let cells = [
                app.app.clone(),
                slot.slot.clone(),
                slot.release.clone(),
                time(slot.requests_per_second),
                format!("{:.1} %{}", errors * 100.0, if errors > 0.01 { " !" } else { "" }),
                time(slot.p50_ms),
                time(slot.p95_ms),
            ];
            Row::new(cells).style(style)
        })
        .collect();
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Min(24),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(7),
    ];
    frame.render_widget(
        Table::new(rows, widths).header(bold(&["APP", "SLOT", "RELEASE", "REQ/S", "ERRORS", "P50 MS", "P95 MS"])),
        area,
    );
}

fn draw_containers(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let rows: Vec<Row<'_>> = now(state)
        .into_iter()
        .flat_map(|metrics| &metrics.containers)
        .map(|one| {
            let used = share(one.memory_bytes, one.memory_limit_bytes);
            Row::new([
                one.service.clone(),
                format!("{:.1} %", one.cpu_ratio * 100.0),
                format!("{:.1} MiB", one.memory_bytes / 1_048_576.0),
                format!("{:.0} %{}", used * 100.0, if used >= 0.9 { " !" } else { "" }),
                format!("{:.0}", one.processes),
                one.container.clone(),
            ])
        })
        .collect();
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(8),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Length(12),
    ];
    let table = Table::new(rows, widths)
        .header(bold(&["SERVICE", "CPU", "MEMORY", "OF IT", "PIDS", "CONTAINER"]))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut TableState::default().with_selected(Some(state.row)));
}

fn draw_foot(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let text = if state.asks_to_roll_back {
        format!("Go back to the release before on {}? y: yes, any other key: no", state.target)
    } else {
        "q quit  ↑↓ service  ←→ host  l logs  r roll back".to_owned()
    };
    frame.render_widget(Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM)), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};

    use super::*;
    use crate::top::Act;

    fn figures(requests: u32) -> Metrics {
        let mut text = format!(
            "estiba_host_cpu_ratio 0.42\nestiba_host_load1 1.2\nestiba_host_memory_bytes 8589934592\nestiba_host_memory_available_bytes 644245094\n\
             estiba_host_disk_bytes{{path=\"/\"}} 107374182400\nestiba_host_disk_used_bytes{{path=\"/\"}} 53687091200\n\
             estiba_release_info{{release=\"20261127T120000Z-abc1234\"}} 1\nestiba_requests_per_second{{app=\"web\"}} {requests}\n"
        );
        for (slot, errors, p95) in [("blue", "0.0000", "12.5"), ("green", "0.2000", "48.0")] {
            let labels = format!("app=\"web\",slot=\"{slot}\",release=\"20261127T120000Z-abc1234\"");
            text += &format!(
                "estiba_slot_requests_total{{{labels}}} 10\nestiba_slot_requests_per_second{{{labels}}} {requests}\nestiba_slot_error_ratio{{{labels}}} {errors}\n\
                 estiba_slot_latency_milliseconds{{{labels},quantile=\"0.95\"}} {p95}\n"
            );
        }
        for (number, service) in ["db", "nginx", "redis", "web", "web-blue"].into_iter().enumerate() {
            let labels = format!("service=\"{service}\",container=\"0123456789a{number}\",release=\"\"");
            text += &format!(
                "estiba_container_cpu_ratio{{{labels}}} 0.{number}\nestiba_container_memory_bytes{{{labels}}} {}\nestiba_container_memory_limit_bytes{{{labels}}} 209715200\n",
                (number + 1) * 41_943_040
            );
        }
        Metrics::parse(&text)
    }

    fn state(has_colour: bool) -> State {
        let mut state = State::new("production", vec!["deploy@one".into(), "deploy@two".into()], has_colour);
        for requests in [3, 8, 21, 13, 5] {
            state.take("deploy@one", Ok(figures(requests)));
        }
        state.take("deploy@two", Err("deploy@two: no connection".into()));
        state
    }

    fn screen(state: &State, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal
    }

    #[test]
    fn a_small_and_a_large_screen() {
        insta::assert_snapshot!(screen(&state(true), 80, 24).backend());
        insta::assert_snapshot!(screen(&state(true), 200, 60).backend());
    }

    #[test]
    fn without_colour_nothing_has_one_and_all_is_said() {
        let colourless = screen(&state(false), 80, 24);
        let cells = &colourless.backend().buffer().content;
        assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        let colourful = screen(&state(true), 80, 24);
        let cells = &colourful.backend().buffer().content;
        assert!(cells.iter().all(|cell| cell.bg == Color::Reset), "a background of its own hides text on a light terminal");
        assert!(cells.iter().any(|cell| cell.fg == Color::Red));
        let text = |terminal: &Terminal<TestBackend>| terminal.backend().to_string();
        assert_eq!(text(&colourless), text(&colourful));
    }

    #[test]
    fn keys_move_and_ask() {
        let mut state = state(true);
        let press = |state: &mut State, code: KeyCode| state.press(KeyEvent::from(code));
        assert_eq!(press(&mut state, KeyCode::Down), None);
        assert_eq!(press(&mut state, KeyCode::Char('l')), Some(Act::Logs(Some("nginx".into()))));
        assert_eq!(press(&mut state, KeyCode::Char('r')), None);
        assert!(screen(&state, 80, 24).backend().to_string().contains("Go back to the release before on production?"));
        assert_eq!(press(&mut state, KeyCode::Enter), None);
        press(&mut state, KeyCode::Char('r'));
        assert_eq!(press(&mut state, KeyCode::Char('y')), Some(Act::RollBack));
        press(&mut state, KeyCode::Tab);
        assert!(screen(&state, 80, 24).backend().to_string().contains("! deploy@two: no connection"));
        assert_eq!(press(&mut state, KeyCode::Char('q')), Some(Act::Quit));
    }
}
