//! The journal's records, as remote-scripts/lib/journal.sh writes them.

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The run itself: its id, kind and release.
    Run,
    /// A step began.
    Began,
    /// A line that a step printed.
    Out,
    /// A step ended well.
    Done,
    /// A step failed.
    Failed,
    /// A step is being undone.
    Undoing,
    /// A step was undone.
    Undone,
    /// A step could not be undone.
    UndoFailed,
    /// Something worth knowing.
    Note,
    /// How both releases do while a canary runs, or a release is observed.
    Slots,
    /// The end: exit code, word and reason.
    Outcome,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Hundredths of a second since the server's boot.
    pub at_cs: u64,
    /// What it tells.
    pub kind: RecordKind,
    /// Of which step.
    pub step: String,
    /// In which words.
    pub text: String,
}

impl Record {
    /// Reads a line; `None` for what is not a record.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t');
        let at_cs = fields.next()?.parse().ok()?;
        let kind = match fields.next()? {
            "run" => RecordKind::Run,
            "began" => RecordKind::Began,
            "out" => RecordKind::Out,
            "done" => RecordKind::Done,
            "failed" => RecordKind::Failed,
            "undoing" => RecordKind::Undoing,
            "undone" => RecordKind::Undone,
            "undo-failed" => RecordKind::UndoFailed,
            "note" => RecordKind::Note,
            "slots" => RecordKind::Slots,
            "outcome" => RecordKind::Outcome,
            _ => return None,
        };
        // A step's name goes into tables and charts: what is no name of a step is none.
        let step = fields.next()?;
        let is_name = step.len() <= 40 && step.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let step = if is_name { step } else { "unknown" }.to_owned();
        let text = fields.next().unwrap_or("").trim_end_matches('\r').to_owned();
        Some(Self { at_cs, kind, step, text })
    }

    /// Of an outcome: exit code, word and reason.
    pub fn outcome(&self) -> Option<(u8, &str, &str)> {
        let mut words = self.text.splitn(3, ' ');
        Some((words.next()?.parse().ok()?, words.next()?, words.next().unwrap_or("").trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records_and_nothing_else() {
        let record = Record::parse("123\tout\tmigrate\ta\tb").unwrap();
        assert_eq!((record.kind, record.step.as_str(), record.text.as_str()), (RecordKind::Out, "migrate", "a\tb"));
        let outcome = Record::parse("9\toutcome\tcheck\t3 rolled-back it said no").unwrap();
        assert_eq!(outcome.outcome(), Some((3, "rolled-back", "it said no")));
        assert_eq!(Record::parse("1\tbegan\tcheck<img src=x>\t").unwrap().step, "unknown");
        for line in ["", "x\tout\ta\tb", "1\tnonsense\ta\tb", "1"] {
            assert_eq!(Record::parse(line), None);
        }
    }

    #[test]
    fn any_line_is_a_record_whose_step_is_a_name_or_none() {
        let good = ["123\tout\tmigrate\ta\tb", "9\toutcome\tcheck\t3 rolled-back it said no", "5\trun\t\tid deploy release"];
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        crate::fuzz::read("journal", &good, |text| {
            for line in String::from_utf8_lossy(text).lines() {
                let Some(record) = Record::parse(line) else { continue };
                assert!(record.step.len() <= 40 && record.step.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
                let _ = record.outcome();
            }
        });
    }
}
