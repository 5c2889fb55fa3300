//! A server that does not answer the first question: what it did instead.

use crate::error::Error;
use crate::ssh::{Address, Output};
use crate::text::printable;

/// Why a command was not carried out, where that can be told from what came instead of its answer. `None`: the answer began and was
/// cut short. `begins` is how its first line does.
pub(super) fn no_answer(address: &Address, output: &Output, begins: &str) -> Option<Error> {
    let (text, complaint) = (output.text(), output.complaint());
    if text.lines().any(|line| line.starts_with(begins)) && output.status.is_none_or(|status| status == 0) {
        return None;
    }
    let said = format!("{text}\n{complaint}");
    let lines: Vec<String> = said.lines().map(str::trim).filter(|line| !line.is_empty()).map(printable).collect();
    let shown = lines.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    let status = output.status.map_or_else(|| "without a status".to_owned(), |status| format!("with {status}"));
    let has = |words: &str| said.contains(words);
    let user = &address.user;
    let (what, hint) = if has("a password is required") || has("a terminal is required to read the password") {
        let line = format!(
            "in /etc/sudoers.d: `{user} ALL=(ALL) NOPASSWD: ALL`, or put the user into the group docker and drop `become`"
        );
        (format!("sudo asks {user} for a password, and nobody is there to type it"), line)
    } else if has("is not in the sudoers file") || has("is not allowed to") && has("sudo") {
        (format!("{user} may not use sudo"), format!("in /etc/sudoers.d: `{user} ALL=(ALL) NOPASSWD: ALL`"))
    } else if has("sudo: not found") || has("sudo: command not found") || has("sudo: No such file") {
        ("there is no sudo on it".to_owned(), "install sudo there, or drop `become` from the target".to_owned())
    } else if has("sftp connections only") {
        (
            format!("{user} may only transfer files (sftp) and run no commands"),
            "remove `ForceCommand internal-sftp` for this user from its sshd_config, or use another user".to_owned(),
        )
    } else if has("not available") && has("account") || lines.is_empty() && output.status == Some(1) {
        let why = format!("the login shell of {user} lets nobody run a command (nologin or /bin/false)");
        (why, format!("`chsh -s /bin/sh {user}` there, or use another user"))
    } else if has("No space left") {
        ("its disk is full".to_owned(), "make room there: `df -h`, `docker system df`".to_owned())
    } else {
        let why = format!("something else ran than what was asked for, and ended {status}");
        (
            why,
            format!(
                "a forced command in authorized_keys or sshd_config, or a start-up file of the login shell that ends it (`exit` in .bashrc), does that: look at both for {user}"
            ),
        )
    };
    let error = Error::failed(format!("{address}: {what}; nothing was changed")).hint(hint);
    Some(if shown.is_empty() { error } else { error.hint(format!("it printed: {shown}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_instead_is_named_with_what_to_do() {
        let address = Address::parse("deploy@h").unwrap();
        let told = |stdout: &str, stderr: &str, status: Option<u32>| {
            no_answer(&address, &Output { status, stdout: stdout.into(), stderr: stderr.into() }, "estiba:facts")
                .map(|error| error.to_string())
        };
        for (stdout, stderr, status, wanted) in [
            ("This account is currently not available.\n", "", Some(1), "nologin"),
            ("", "", Some(1), "/bin/false"),
            ("This service allows sftp connections only.\n", "", Some(1), "sftp"),
            ("", "sudo: a password is required\n", Some(1), "NOPASSWD"),
            ("", "sh: 1: exec: sudo: not found\n", Some(127), "no sudo"),
            ("backup done\n", "", Some(0), "forced command"),
            ("welcome\n", "", Some(3), "ended with 3"),
        ] {
            let error = told(stdout, stderr, status).unwrap();
            assert!(error.contains(wanted) && error.contains("nothing was changed"), "{error}");
            assert!(error.contains(stdout.trim()) && error.contains(stderr.trim()), "{error}");
        }
        assert_eq!(told("estiba:facts\nuser=x\n", "", None), None);
        let error = told("\u{1b}[31mno\n", "", Some(0)).unwrap();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
