//! The gate of a restricted key: the words by which it knows a request, and its text.

use super::Scripts;
use super::protocol::{Entry, Rights};

/// A request as the gate reads it. A login shell passes over it: `:` does nothing.
pub(super) fn request(entry: Entry, arguments: &[&str]) -> String {
    let mut request = format!(": estiba {} {}", Scripts::digest(), entry.name());
    for argument in arguments {
        request += " a";
        for byte in argument.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'/' | b':' | b'-' => request.push(byte.into()),
                _ => request += &format!("%{byte:03o}"),
            }
        }
    }
    request + "; "
}

/// The gate, with the names of what each kind of key may ask for.
pub fn gate() -> String {
    let of = |rights: Rights| {
        let names: Vec<&str> = Entry::ALL.iter().filter(|entry| entry.rights() == rights).map(|entry| entry.name()).collect();
        names.join(" ")
    };
    Scripts::text("setup/gate.sh").replace("@LOOK@", &of(Rights::Look)).replace("@DEPLOY@", &of(Rights::Deploy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_nothing_that_a_shell_reads_otherwise() {
        let request = request(Entry::Cat, &["/srv/shop", "a b", "it's; $(id) `id`\n\\%", "", "-x"]);
        let (head, rest) = request.split_once("; ").unwrap();
        assert_eq!(rest, "");
        let words = head.strip_prefix(": estiba ").unwrap();
        assert!(words.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ._/:%-".contains(&byte)), "{words}");
        assert!(words.contains(" ask/cat.sh a/srv/shop aa%040b ") && words.contains(" a a-x"), "{words}");
    }

    #[test]
    fn every_entry_point_is_a_script_and_the_gate_lets_through_what_its_rights_say() {
        let text = gate();
        let listed = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}='"))).unwrap();
            line.split('\'').nth(1).unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let (look, deploy) = (listed("look"), listed("deploy"));
        for entry in Entry::ALL.iter().copied() {
            let name = entry.name().to_owned();
            assert!(entry == Entry::Nothing || !Scripts::text(entry.name()).is_empty(), "{name}");
            let rights = match (look.contains(&name), deploy.contains(&name)) {
                (true, false) => Rights::Look,
                (false, true) => Rights::Deploy,
                (false, false) => Rights::Person,
                (true, true) => panic!("{name} is in both lists"),
            };
            assert_eq!(rights, entry.rights(), "{name}");
        }
        assert!(!text.contains("@LOOK@") && !text.contains("@DEPLOY@"));
    }

    #[test]
    fn a_script_that_calls_itself_a_look_is_one() {
        for entry in Entry::ALL.iter().copied().filter(|entry| entry.name().starts_with("ask/")) {
            let is_look = entry.rights() == Rights::Look || entry == Entry::Save;
            assert!(is_look && Scripts::text(entry.name()).contains("hanges nothing"), "{}", entry.name());
        }
    }
}
