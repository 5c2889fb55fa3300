//! `serve`

use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::serve::{Settings, serve};

use super::super::args::ServeArgs;
use super::super::context::Context;

/// What the service knows and a deploy does not have to.
const OWN: [&str; 4] = ["ESTIBA_WEBHOOK_SECRET", "ESTIBA_WEBHOOK_SECRET_NEXT", "ESTIBA_STATUS_TOKEN", "ESTIBA_PAGE_TOKEN"];

pub(in crate::cli) async fn run(context: &Context, args: ServeArgs) -> Result<ExitCode> {
    let get = |name: &str| context.environment.get(name).filter(|value| !value.is_empty()).cloned();
    let secrets: Vec<String> = OWN[..2].iter().filter_map(|name| get(name)).collect();
    if let Some(short) = secrets.iter().find(|secret| secret.len() < 16) {
        return Err(Error::input(format!("a webhook secret has {} characters; at least 16 are needed", short.len()))
            .hint("openssl rand -hex 32 makes one"));
    }
    if secrets.is_empty() {
        return Err(Error::input("the webhook has no secret, so that anybody could deploy")
            .hint("ESTIBA_WEBHOOK_SECRET is the secret that the hoster signs with; while it is replaced, ESTIBA_WEBHOOK_SECRET_NEXT the other one"));
    }
    let (token, page_token) = (get(OWN[2]), get(OWN[3]));
    if let Some(short) = page_token.as_ref().filter(|token| token.len() < 16) {
        return Err(Error::input(format!("the page's token has {} characters; at least 16 are needed", short.len()))
            .hint("openssl rand -hex 32 makes one"));
    }
    context.reporter.hide(page_token.as_slice());
    context.reporter.hide(&secrets);
    context.reporter.hide(token.as_slice());
    if args.branch.starts_with('-') || !args.branch.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)) {
        return Err(Error::input(format!("`{}` is no branch", args.branch)));
    }
    if args.source.starts_with('-') {
        return Err(Error::input(format!("`{}` is no repository to fetch from", args.source)));
    }
    let mut paths = globset::GlobSetBuilder::new();
    for path in &args.path {
        paths.add(globset::Glob::new(path).map_err(|error| Error::input(format!("--path {path}: {error}")))?);
    }
    let settings = Settings {
        listen: args.listen,
        folder: args.folder,
        source: args.source,
        repository: args.repository,
        branch: args.branch,
        paths: paths.build().map_err(|error| Error::input(format!("--path: {error}")))?,
        target: args.target,
        config: context.global.config.clone(),
        secrets,
        statuses: token.map(|token| (args.api, token)),
        environment: context
            .environment
            .iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        page_token,
        now: Context::now,
    };
    serve(settings, &context.reporter).await?;
    Ok(ExitCode::SUCCESS)
}
