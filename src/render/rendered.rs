//! What a release is rendered to.

use std::collections::BTreeMap;

use crate::artefact::Artefact;

/// Everything that one release is rendered to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The release's files, by their path in `releases/<id>/`.
    pub release: BTreeMap<String, Artefact>,
    /// Values that must never be shown.
    pub secrets: Vec<String>,
    /// Things worth knowing that are no errors.
    pub notes: Vec<String>,
}
