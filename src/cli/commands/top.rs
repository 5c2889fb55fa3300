//! `top`

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};
use tokio::sync::mpsc;

use crate::deploy::{Session, all};
use crate::error::{Error, Result};
use crate::server::Metrics;
use crate::top::{Act, State, draw};

use super::super::args::{Color, LogsArgs, RollbackArgs, TargetArgs};
use super::super::context::Context;
use super::{logs, rollback};

/// What comes in: a key, or a look at a host.
enum News {
    Key(event::KeyEvent),
    Resized,
    Looked(String, Box<Result<Metrics>>),
}

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::input("`top` draws on a terminal, and there is none").hint("`estiba metrics` prints the same figures"));
    }
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let sessions = all(&resolved.target.hosts, "could not be looked at", Session::open_each(&project, &resolved).await)?;
    for session in &sessions {
        session.facts.check()?;
    }
    let no_colour = context.environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let has_colour = context.global.color != Color::Never && !no_colour;
    let state = State::new(&resolved.target.name, sessions.iter().map(Session::host).collect(), has_colour);
    let act = watched(sessions, state).await?;
    let target = Some(resolved.target.name.clone());
    match act {
        Act::Quit => Ok(ExitCode::SUCCESS),
        Act::Logs(service) => logs::run(context, LogsArgs::followed(target, service)).await,
        Act::RollBack => {
            Ok(rollback::run(context, RollbackArgs { target, release: None, wait_lock: None, timings: false }).await)
        }
    }
}

/// The screen, until somebody asks for something that it cannot do.
async fn watched(sessions: Vec<Session<'_>>, mut state: State) -> Result<Act> {
    let (send, mut news) = mpsc::channel(64);
    let keys = send.clone();
    // It ends with the process: a read of the terminal cannot be called off.
    std::thread::spawn(move || read_keys(&keys));
    let failed = |error: std::io::Error| Error::failed(format!("the terminal: {error}"));
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let looks = futures_util::future::join_all(sessions.into_iter().map(|session| look(session, send.clone())));
    let screen = async {
        loop {
            terminal.draw(|frame| draw(frame, &state)).map_err(failed)?;
            match news.recv().await {
                None => return Ok(Act::Quit),
                Some(News::Resized) => {}
                Some(News::Looked(host, looked)) => state.take(&host, looked.map_err(|error| error.text())),
                Some(News::Key(key)) => {
                    if let Some(act) = state.press(key) {
                        return Ok(act);
                    }
                }
            }
        }
    };
    let act = tokio::select! {
        act = screen => act,
        _ = looks => Ok(Act::Quit),
        // The terminal is given back as it was.
        () = ended() => Ok(Act::Quit),
    };
    ratatui::try_restore().map_err(failed)?;
    act
}

/// Waits for a signal to end.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let first = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(first).await;
}

fn read_keys(send: &mpsc::Sender<News>) {
    while let Ok(input) = event::read() {
        let news = match input {
            Input::Key(key) if key.kind == KeyEventKind::Press => News::Key(key),
            Input::Resize(..) => News::Resized,
            _ => continue,
        };
        if send.blocking_send(news).is_err() {
            return;
        }
    }
}

/// Looks at a host for as long as anybody wants to know.
async fn look(mut session: Session<'_>, send: mpsc::Sender<News>) {
    let mut is_lost = false;
    loop {
        if is_lost {
            let again = Error::failed(format!("{}: no answer; connecting again", session.host()));
            if send.send(News::Looked(session.host(), Box::new(Err(again)))).await.is_err() {
                return;
            }
        }
        let looked = match session.mend().await {
            Ok(()) => session.server().metrics().await,
            Err(error) => Err(error),
        };
        is_lost = looked.is_err();
        if send.send(News::Looked(session.host(), Box::new(looked))).await.is_err() {
            return;
        }
        if is_lost {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
}
