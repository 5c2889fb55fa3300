//! A plan in words: for a terminal, and as Markdown for a pull request.

use std::fmt::Write as _;

use crate::text::{code, fence, html, inline};

use super::{Change, Plan, consequences};

impl Change {
    pub(super) const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }
}

impl Plan {
    /// One line on what it comes to.
    pub fn summary(&self) -> String {
        let current = self.current.as_deref().unwrap_or("nothing yet");
        if !self.changes {
            return format!("{}: no changes, nothing to do; it serves {current}", self.target);
        }
        let image = if self.image_changes { "a new image" } else { "the same image" };
        let files = match self.files.len() {
            1 => String::from("1 file changes"),
            count => format!("{count} files change"),
        };
        let keys = match self.environment.len() {
            0 => String::from("the environment stays"),
            1 => String::from("1 variable changes"),
            count => format!("{count} variables change"),
        };
        format!("{}: {image}, {files}, {keys}; it serves {current}", self.target)
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.summary());
        for file in &self.files {
            match &file.diff {
                Some(diff) => {
                    let _ = write!(text, "\n{diff}");
                }
                None => {
                    let _ = write!(text, "\n{} {} (not text)", file.change.sign(), file.path);
                }
            }
        }
        self.write_environment(&mut text);
        if !self.drift.is_empty() {
            text.push_str("\nDrift from the release that serves; a deploy repairs it:\n");
            for drift in &self.drift {
                let _ = writeln!(text, "! {drift}");
            }
        }
        if !self.replaced.is_empty() {
            let _ = write!(
                text,
                "\nContainers of the stack that would be replaced: {}. A deploy is refused without{}\n",
                self.replaced.join(", "),
                allow(&self.replaced)
            );
        }
        if let Some(pending) = self.pending.as_ref().filter(|pending| !pending.is_empty()) {
            text.push_str("\nPending migrations, by the project's files (the deploy asks the new image):\n");
            for migration in pending {
                let _ = writeln!(text, "+ {migration}");
            }
        }
        if let Some(image) = self.image_line() {
            let _ = write!(text, "\nImage: {image}\n");
        }
        for note in &self.notes {
            let _ = write!(text, "\nNote: {note}\n");
        }
        for warning in &self.warnings {
            let _ = write!(text, "\nWarning: {warning}\n");
        }
        if !self.steps.is_empty() {
            text.push_str("\nSteps, and what a failure in them leads to:\n");
            for (steps, what) in consequences(&self.steps) {
                let _ = writeln!(text, "  {}: {what}", steps.join(", "));
            }
        }
        let _ = write!(text, "\nPlan digest: {}\n", self.digest);
        text
    }

    /// The image that serves, and the one that would.
    fn image_line(&self) -> Option<String> {
        if !self.image_changes {
            return None;
        }
        let mut line = match &self.image.built {
            Some(built) => format!(
                "{} ({}, {} layers, of which the server lacks {})",
                short(&built.id),
                megabytes(built.size),
                built.layers,
                built.missing
            ),
            None => format!("to be built from the context {}", short(&self.image.context)),
        };
        if let Some(current) = &self.image.current {
            let _ = write!(line, "; serves now: {}", short(current));
            let _ = self.image.current_size.map(|size| write!(line, " ({})", megabytes(size)));
        }
        Some(line)
    }

    fn write_environment(&self, text: &mut String) {
        if self.environment.is_empty() {
            return;
        }
        text.push_str("\nEnvironment (values are never shown):\n");
        for (key, change) in &self.environment {
            let _ = writeln!(text, "{} {key}", change.sign());
        }
    }

    /// For a pull request or a summary.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("### Plan for {}\n", self.summary());
        for file in &self.files {
            let name = file.path.strip_prefix("files/").unwrap_or(&file.path);
            let _ = write!(text, "\n<details><summary>{} <code>{}</code></summary>\n\n", file.change.sign(), html(name));
            match &file.diff {
                Some(diff) => {
                    let fence = fence(diff);
                    let _ = write!(text, "{fence}diff\n{diff}{fence}\n");
                }
                None => text.push_str("Not text.\n"),
            }
            text.push_str("\n</details>\n");
        }
        if !self.environment.is_empty() {
            text.push_str("\n**Environment** (values are never shown)\n\n");
            for (key, change) in &self.environment {
                let _ = writeln!(text, "- {} {}", change.sign(), code(key));
            }
        }
        if !self.drift.is_empty() {
            text.push_str("\n**Drift from the release that serves**; a deploy repairs it\n\n");
            for drift in &self.drift {
                let _ = writeln!(text, "- {}", inline(drift));
            }
        }
        if !self.replaced.is_empty() {
            let _ = write!(
                text,
                "\n**Containers that would be replaced**: {}. A deploy is refused without {}\n",
                inline(&self.replaced.join(", ")),
                code(allow(&self.replaced).trim())
            );
        }
        if let Some(pending) = self.pending.as_ref().filter(|pending| !pending.is_empty()) {
            text.push_str("\n**Pending migrations**, by the project's files (the deploy asks the new image)\n\n");
            for migration in pending {
                let _ = writeln!(text, "- {}", code(migration));
            }
        }
        if let Some(image) = self.image_line() {
            let _ = write!(text, "\n**Image**: {}\n", inline(&image));
        }
        for note in &self.notes {
            let _ = write!(text, "\n> {}\n", inline(note));
        }
        for warning in &self.warnings {
            let _ = write!(text, "\n> ⚠️ {}\n", inline(warning));
        }
        if !self.steps.is_empty() {
            text.push_str("\n<details><summary>Steps, and what a failure in them leads to</summary>\n\n");
            for (steps, what) in consequences(&self.steps) {
                let _ = writeln!(text, "- {}: {what}", steps.join(" → "));
            }
            text.push_str("\n</details>\n");
        }
        let _ = write!(text, "\nPlan digest: `{}`\n", self.digest);
        text
    }
}

/// An id or a digest, as long as people read it.
fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn allow(replaced: &[String]) -> String {
    replaced.iter().map(|service| format!(" --allow-replace {service}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_plan_file_is_shown_or_refused() {
        let plan = serde_json::json!({
            "target": "production", "current": "r1", "changes": true, "image_changes": true,
            "image": {"current": "sha256:a", "built": {"id": "sha256:b", "size": 10, "layers": 4, "missing": 1}},
            "files": [{"path": "stack/a.conf", "change": "changed", "diff": "-a\n+b\n", "secret": false}],
            "environment": {"KEY": "added"}, "replaced": ["db"], "pending": ["app 0001_a"], "drift": ["the env file"],
            "steps": ["preflight", "image", "switch"], "notes": ["a"], "warnings": ["b"], "digest": "abc",
        });
        crate::fuzz::read("plan", &[plan.to_string().into_bytes()], |text| {
            let Ok(plan) = serde_json::from_slice::<Plan>(text) else { return };
            let _ = (plan.summary(), plan.to_text(), plan.to_markdown());
            let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
            assert_eq!(again, plan);
        });
    }
}
