//! Times of a schedule, as cron writes them.

use std::fmt::Write;

/// The five fields of a schedule: their names and the numbers that each may hold.
const FIELDS: [(&str, u8, u8); 5] = [("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7)];

/// When something is due: minute, hour, day, month and weekday, by UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `None` for any.
    fields: [Option<Vec<u8>>; 5],
}

impl Schedule {
    /// Reads five fields as cron has them: `*`, numbers, ranges `1-5`, steps `*/6`, lists `0,30`; weekdays count from
    /// Sunday, 0 or 7. Names are not known.
    ///
    /// The error is in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != FIELDS.len() {
            return Err(format!("it has {} fields, not the five of cron: minute hour day month weekday", parts.len()));
        }
        let mut fields = [const { None }; 5];
        for ((part, (name, least, most)), field) in parts.iter().zip(FIELDS).zip(&mut fields) {
            *field = parse_field(part, least, most).ok_or_else(|| {
                format!("`{part}` is not a {name}: use numbers from {least} to {most}, `*`, ranges (1-5), steps (*/2) and lists (0,30)")
            })?;
        }
        if let Some(weekdays) = &mut fields[4] {
            weekdays.iter_mut().for_each(|day| *day %= 7);
            weekdays.sort_unstable();
            weekdays.dedup();
        }
        Ok(Self { fields })
    }

    /// The form that the server's half reads: each field's numbers or `*`, parted by `|`.
    pub fn spelled_out(&self) -> String {
        let mut text = String::new();
        for (index, field) in self.fields.iter().enumerate() {
            let _ = write!(text, "{}", if index == 0 { "" } else { "|" });
            match field {
                None => text.push('*'),
                Some(numbers) => text += &numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(" "),
            }
        }
        text
    }
}

/// One field: `Some(None)` for any, `None` where it is wrong.
fn parse_field(text: &str, least: u8, most: u8) -> Option<Option<Vec<u8>>> {
    if text == "*" {
        return Some(None);
    }
    // A sign would be read as part of a number.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"*/,-".contains(&byte)) {
        return None;
    }
    let mut numbers = Vec::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None if range == "*" => (least, most),
            None => {
                let one: u8 = range.parse().ok()?;
                (one, if item.contains('/') { most } else { one })
            }
        };
        if from < least || to > most || from > to {
            return None;
        }
        numbers.extend((from..=to).step_by(usize::from(step)));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(Some(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> String {
        Schedule::parse(text).unwrap().spelled_out()
    }

    #[test]
    fn fields_are_spelled_out() {
        assert_eq!(spelled("30 3 * * *"), "30|3|*|*|*");
        assert_eq!(spelled("*/20 0-23/8 1,15 * 7,1-2"), "0 20 40|0 8 16|1 15|*|0 1 2");
        assert_eq!(spelled("5/25 * * * *"), "5 30 55|*|*|*|*");
    }

    #[test]
    fn what_is_no_schedule_is_told_by_its_field() {
        assert!(Schedule::parse("0 3 * *").unwrap_err().contains("4 fields"));
        for (text, field) in [
            ("60 * * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * sun", "weekday"),
        ] {
            assert!(Schedule::parse(text).unwrap_err().contains(field), "{text}");
        }
        for text in ["1-", "5-1", "*/0", ",", "-1", "1//2", "+1"] {
            assert!(Schedule::parse(&format!("{text} * * * *")).is_err(), "{text}");
        }
    }
}
