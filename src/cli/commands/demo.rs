//! `demo`

use std::process::ExitCode;

use camino::Utf8PathBuf;

use crate::demo::{Demo, run as run_demo};
use crate::error::{Error, Result};

use super::super::args::DemoArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: DemoArgs) -> Result<ExitCode> {
    let temporary = Utf8PathBuf::from_path_buf(std::env::temp_dir())
        .map_err(|path| Error::failed(format!("the folder for temporary files is not UTF-8: {}", path.display())))?;
    let demo = Demo {
        keep: args.keep,
        example: args.example.as_deref(),
        temporary,
        environment: &context.environment,
        clock: Context::now,
    };
    run_demo(demo, &context.reporter).await?;
    Ok(ExitCode::SUCCESS)
}
