//! Times at which nothing is deployed.

use jiff::Timestamp;
use jiff::tz::Offset;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u32 = 24 * 60;

/// A time of each day or of each week, UTC: from one minute on to before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// As it is written.
    pub text: String,
    /// Minutes of the week where it names weekdays, else of the day.
    is_weekly: bool,
    from: u32,
    to: u32,
}

impl Window {
    /// Reads `22:00-06:00` or `Fri 16:00 - Mon 07:00`.
    ///
    /// The error is in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || String::from("write it like \"22:00-06:00\" or \"Fri 16:00 - Mon 07:00\", UTC");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (moment(from).ok_or_else(wrong)?, moment(to).ok_or_else(wrong)?);
        match (from, to) {
            ((Some(first), from), (Some(last), to)) => {
                Ok(Self { text: text.to_owned(), is_weekly: true, from: first * DAY + from, to: last * DAY + to })
            }
            ((None, from), (None, to)) => Ok(Self { text: text.to_owned(), is_weekly: false, from, to }),
            _ => Err(String::from("either both of its ends name a weekday or none does")),
        }
    }

    /// Is it that time?
    pub fn contains(&self, now: Timestamp) -> bool {
        let now = Offset::UTC.to_datetime(now);
        let minute = u32::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or(0);
        let day = u32::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
        let at = if self.is_weekly { day * DAY + minute } else { minute };
        if self.from <= self.to { (self.from..self.to).contains(&at) } else { at >= self.from || at < self.to }
    }
}

/// A weekday, where one is named, and the minute of the day.
fn moment(text: &str) -> Option<(Option<u32>, u32)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (day, time) = match words.as_slice() {
        [time] => (None, *time),
        [day, time] => {
            let day = day.to_ascii_lowercase();
            (Some(u32::try_from(DAYS.iter().position(|known| *known == day)?).ok()?), *time)
        }
        _ => return None,
    };
    let (hour, minute) = time.split_once(':')?;
    let number = |text: &str, most: u32| text.parse::<u32>().ok().filter(|number| text.len() == 2 && *number <= most);
    Some((day, number(hour, 23)? * 60 + number(minute, 59)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(window: &str, time: &str) -> bool {
        Window::parse(window).unwrap().contains(time.parse().unwrap())
    }

    #[test]
    fn a_window_may_go_over_midnight_and_over_the_end_of_the_week() {
        // 27 November 2026 is a Friday.
        assert!(at("22:00-06:00", "2026-11-27T23:10:00Z") && at("22:00-06:00", "2026-11-27T05:59:00Z"));
        assert!(!at("22:00-06:00", "2026-11-27T06:00:00Z") && !at("09:00-10:00", "2026-11-27T10:00:00Z"));
        let weekend = "Fri 16:00 - Mon 07:00";
        assert!(
            at(weekend, "2026-11-27T16:00:00Z") && at(weekend, "2026-11-29T12:00:00Z") && at(weekend, "2026-11-30T06:59:00Z")
        );
        assert!(!at(weekend, "2026-11-27T15:59:00Z") && !at(weekend, "2026-11-30T07:00:00Z"));
        for wrong in ["", "22:00", "22:00-24:00", "Fri 16:00-07:00", "Fry 16:00 - Mon 07:00", "2:00-03:00"] {
            assert!(Window::parse(wrong).is_err(), "{wrong}");
        }
    }
}
