//! `demo`

use std::process::ExitCode;

use crate::error::{Error, Result};

use super::args::DemoArgs;
use super::context::Context;

pub(super) async fn run(_context: &Context, _args: DemoArgs) -> Result<ExitCode> {
    Err(Error::failed("not yet"))
}
