use serde_json::Value;

/// What one run of the binary came to.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The last line of standard output, as JSON.
    pub fn json(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("no output:\n{}", self.stderr));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}\n{}", self.stderr))
    }

    /// The same, of a run that must have ended with that exit code and outcome.
    #[track_caller]
    pub fn expect(self, code: i32, outcome: &str) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        let json = self.json();
        assert_eq!(json["outcome"], outcome, "{}", self.stderr);
        json
    }

    /// Asserts the exit code and that standard error says all of this.
    #[track_caller]
    pub fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in:\n{}", self.stderr);
        }
    }
}
