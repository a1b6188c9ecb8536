// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When something is due by the calendar, and whether now is its part of the day.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::domain::{Error, Millis, Result, Window};

fn zone(field: &'static str, name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        let why = format!("there is no time zone {name:?}; it is a name such as Europe/Zurich");
        Error::invalid(field, why)
    })
}

fn zoned(now: Millis, zone: TimeZone) -> Result<Zoned> {
    let at = Timestamp::from_millisecond(now).map_err(|error| Error::Store(error.to_string()))?;
    Ok(at.to_zoned(zone))
}

/// An expression of five fields in a time zone.
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

impl Calendar {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn new(expression: &str, zone_name: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid("cron", format!("{expression:?}: {why}"));
        if expression.len() > 200 {
            return Err(Error::invalid("cron", "has more than 200 characters"));
        }
        if expression.split_whitespace().count() != 5 {
            let why = "has five fields: minute, hour, day of the month, month, day of the week";
            return Err(wrong(why.into()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { cron, zone: zone("zone", zone_name)? })
    }

    /// The first time after one; none if there is none in this age.
    ///
    /// # Errors
    /// [`Error::Store`] for a time beyond the calendar.
    pub fn after(&self, now: Millis) -> Result<Option<Millis>> {
        let now = zoned(now, self.zone.clone())?;
        let next = self.cron.find_next_occurrence(&now, false).ok();
        Ok(next.map(|next| next.timestamp().as_millisecond()))
    }
}

/// Checks a part of the day.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check(window: &Window) -> Result<()> {
    zone("window", &window.zone)?;
    if window.from >= 1440 || window.to >= 1440 || window.from == window.to {
        return Err(Error::invalid("window", "begins and ends at different minutes of a day"));
    }
    if window.days.iter().any(|day| !(1..=7).contains(day)) {
        return Err(Error::invalid("days", "are numbers from 1, Monday, to 7, Sunday"));
    }
    Ok(())
}

/// When a part of the day begins next; now if it is that.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Store`] for what was not checked.
pub fn opens(window: &Window, now: Millis) -> Result<Millis> {
    let at = zoned(now, zone("window", &window.zone)?)?;
    // It may have begun yesterday. A minute that a day does not have comes after the gap.
    for day in -1..=8 {
        let date = at.date().saturating_add(jiff::Span::new().days(day));
        let weekday = u8::try_from(date.weekday().to_monday_one_offset()).unwrap_or(1);
        if !window.days.is_empty() && !window.days.contains(&weekday) {
            continue;
        }
        let moment = |date: jiff::civil::Date, minutes: u16| {
            let (hour, minute) = (minutes / 60, minutes % 60);
            let time = jiff::civil::time(
                i8::try_from(hour).unwrap_or(0),
                i8::try_from(minute).unwrap_or(0),
                0,
                0,
            );
            let zoned = date.to_datetime(time).to_zoned(at.time_zone().clone());
            zoned.map(|zoned| zoned.timestamp()).map_err(|error| Error::Store(error.to_string()))
        };
        let begins = moment(date, window.from)?;
        let last = match window.to > window.from {
            true => date,
            false => date.saturating_add(jiff::Span::new().days(1)),
        };
        let ends = moment(last, window.to)?;
        if at.timestamp() >= ends {
            continue;
        }
        return Ok(begins.as_millisecond().max(now));
    }
    Ok(now.saturating_add(SignedDuration::from_hours(24).as_millis() as i64))
}

#[cfg(test)]
mod tests {
    use super::{Calendar, opens};
    use crate::domain::Window;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_part_of_the_day_over_midnight_and_on_days() {
        let window =
            Window { from: 22 * 60, to: 5 * 60, days: vec![5], zone: "Europe/Zurich".into() };
        // Friday, 20 March 2026, 22:00 in Zurich is 21:00 in UTC.
        let opening = at("2026-03-20T21:00:00Z");
        assert_eq!(opens(&window, at("2026-03-18T12:00:00Z")).unwrap(), opening);
        assert_eq!(opens(&window, opening).unwrap(), opening);
        let inside = at("2026-03-21T03:59:59Z");
        assert_eq!(opens(&window, inside).unwrap(), inside);
        assert_eq!(opens(&window, at("2026-03-21T04:00:00Z")).unwrap(), at("2026-03-27T21:00:00Z"));
    }

    #[test]
    fn what_is_no_expression() {
        for wrong in ["", "* * * *", "* * * * * *", "61 * * * *", "@daily", "a b c d e"] {
            assert!(Calendar::new(wrong, "UTC").is_err(), "{wrong}");
        }
        assert!(Calendar::new("* * * * *", "Mars/Olympus").is_err());
    }

    #[test]
    fn the_hour_that_is_not_there_and_the_one_that_is_there_twice() {
        let calendar = Calendar::new("30 2 * * *", "Europe/Zurich").unwrap();
        // On 29 March 2026 there is no 2:30 in Zurich, on 25 October there are two.
        let spring = calendar.after(at("2026-03-28T12:00:00Z")).unwrap().unwrap();
        assert!((at("2026-03-29T00:30:00Z")..=at("2026-03-29T01:30:00Z")).contains(&spring));
        let autumn = calendar.after(at("2026-10-24T12:00:00Z")).unwrap().unwrap();
        assert_eq!(autumn, at("2026-10-25T00:30:00Z"));
        let next = calendar.after(autumn).unwrap().unwrap();
        assert_eq!(next, at("2026-10-26T01:30:00Z"));
    }
}
