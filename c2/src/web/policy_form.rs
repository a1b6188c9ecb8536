// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a rotation policy says, in words and as a form.

use maud::{Markup, html};

use super::ask::Fields;
use super::ui;
use crate::domain::{Error, Pace, PolicySpec, Selector, Target, Trigger, Window};

/// Rows of targets in an empty form.
const TARGETS: usize = 3;
/// The most that it has: one more than is filled in.
const TARGETS_MAX: usize = 50;
/// How a selector chooses.
const HOW: [(&str, &str); 4] =
    [("wildcard", "name like"), ("name", "name is"), ("label", "label is"), ("any", "all")];
/// Days of the week, from 1 on.
const DAYS: [(&str, &str); 7] = [
    ("1", "Monday"),
    ("2", "Tuesday"),
    ("3", "Wednesday"),
    ("4", "Thursday"),
    ("5", "Friday"),
    ("6", "Saturday"),
    ("7", "Sunday"),
];

fn selector(selector: &Selector, many: &str) -> String {
    match selector {
        Selector::Any => format!("all {many}"),
        Selector::Name(name) => name.clone(),
        Selector::Wildcard(pattern) => format!("{many} like {pattern}"),
        Selector::Label { name, value } => format!("{many} with {name} = {value}"),
    }
}

/// Whose keys, in words.
pub fn target(target: &Target) -> String {
    match target {
        Target::Topics(Selector::Name(name)) => format!("the topic {name}"),
        Target::Topics(which) => selector(which, "topics"),
        Target::Clients(Selector::Name(name)) => format!("the device {name}"),
        Target::Clients(which) => selector(which, "devices"),
    }
}

/// When, in words.
pub fn trigger(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Cron { expression, zone } => format!("{expression} ({zone})"),
        Trigger::Joins(1) => "after each that joins".into(),
        Trigger::Joins(count) => format!("after {count} that join"),
        Trigger::Leaves(1) => "after each that leaves".into(),
        Trigger::Leaves(count) => format!("after {count} that leave"),
        Trigger::Once => "once, when it is made".into(),
    }
}

/// How a run goes, in words; only what is not as usual.
pub fn pace(pace: &Pace) -> Vec<String> {
    let usual = Pace::default();
    let mut words = Vec::new();
    match pace.per_minute {
        0 => words.push("all keys at once".into()),
        count => words.push(format!("{count} keys a minute")),
    }
    if let Some(which) = &pace.canary_of {
        words.push(format!("first {}, which have to confirm", selector(which, "those")));
    } else if pace.canary > 0 {
        words.push(format!("first {} as canaries, which have to confirm", pace.canary));
    }
    if pace.abort_percent < 100 {
        words.push(format!("stops when more than {} in 100 fail", pace.abort_percent));
    }
    if pace.patience != usual.patience || pace.abort_percent < 100 {
        words.push(format!("a key counts as failed after {}", seconds(pace.patience)));
    }
    if let Some(window) = &pace.window {
        words.push(format!("only {}", window_words(window)));
    }
    if pace.zero_loss {
        words.push("receivers get the new key of a topic first, so that no message is lost".into());
    }
    words
}

fn seconds(seconds: u32) -> String {
    match seconds {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn window_words(window: &Window) -> String {
    let days: Vec<&str> = window
        .days
        .iter()
        .filter_map(|day| DAYS.get(usize::from(*day).checked_sub(1)?).map(|(_, name)| *name))
        .collect();
    let days = if days.is_empty() { String::new() } else { format!("on {}, ", days.join(", ")) };
    format!("{days}from {} to {} ({})", clock(window.from), clock(window.to), window.zone)
}

/// The fields, as they were filled in before.
pub fn form(fields: &Fields) -> Markup {
    let value = |name: &str, or: &str| fields.get(name).unwrap_or(or).to_string();
    let filled = |row: &usize| !fields.trimmed(&format!("whose-{row}")).is_empty();
    let last = (1..TARGETS_MAX).rev().find(filled).unwrap_or(0);
    let rows = (last + 1).max(TARGETS);
    html! {
        (ui::input("text", "description", "What it is for", &value("description", ""), "", false))
        fieldset {
            legend { "Whose keys rotate" }
            p.hint { "In a pattern * stands for any text and ? for one character. A label is name=value. "
                "Once all rows are filled in, the form has one more when it is opened again." }
            @for row in 1..=rows {
                @let names = [format!("whose-{row}"), format!("how-{row}"), format!("which-{row}")];
                @let [whose, how, which] = &names;
                div.row {
                    (ui::select(whose, &format!("Kind {row}"), &value(whose, if row == 1 { "topics" } else { "" }),
                        &[("", "—"), ("topics", "Topics"), ("clients", "Devices' own keys")]))
                    (ui::select(how, &format!("Which {row}"), &value(how, "wildcard"), &HOW))
                    (ui::input("text", which, &format!("Name, pattern or label {row}"), &value(which, ""), "", false))
                }
            }
        }
        fieldset {
            legend { "When" }
            p.hint { "Each that is filled in is enough." }
            div.row {
                (ui::input("text", "cron", "By the calendar (cron)", &value("cron", ""),
                    "Minute, hour, day of the month, month, day of the week: 0 3 * * 1 is Mondays at three.", false))
                (ui::input("text", "zone", "Time zone", &value("zone", "UTC"), "Such as Europe/Zurich.", false))
            }
            div.row {
                (ui::input("number", "joins", "After so many that join", &value("joins", ""), "", false))
                (ui::input("number", "leaves", "After so many that leave", &value("leaves", ""), "", false))
            }
            (ui::checkbox("once", "Once, as soon as it is made", fields.ticked("once"), ""))
        }
        fieldset {
            legend { "How" }
            div.row {
                (ui::input("number", "per-minute", "Keys a minute", &value("per-minute", "0"), "0 for all at once.", false))
                (ui::input("number", "canary", "Canaries", &value("canary", "0"),
                    "So many come first, and have to confirm before the others begin.", false))
            }
            div.row {
                (ui::select("canary-how", "Or these as canaries", &value("canary-how", "label"), &HOW))
                (ui::input("text", "canary-which", "Name, pattern or label of canaries", &value("canary-which", ""),
                    "Empty for the number above.", false))
            }
            div.row {
                (ui::input("number", "abort", "Stops when more than so many in 100 fail", &value("abort", "100"), "100 for never.", false))
                (ui::input("number", "patience", "Minutes for a key to be confirmed", &value("patience", "60"),
                    "After that it counts as failed.", false))
            }
            (ui::checkbox("zero-loss", "Receivers first", fields.ticked("zero-loss"),
                "Topics rotate in two stages, so that no message of a device that is awake is lost."))
        }
        fieldset {
            legend { "Only at some time of the day" }
            div.row {
                (ui::input("time", "from", "From", &value("from", ""), "", false))
                (ui::input("time", "to", "To", &value("to", ""), "Before “from” it is on the next day.", false))
                (ui::input("text", "window-zone", "Time zone", &value("window-zone", "UTC"), "", false))
            }
            div.days role="group" aria-label="Days of the week; none is all" {
                @for (day, name) in DAYS {
                    label { input type="checkbox" name="day" value=(day) checked[fields.all("day").any(|one| one == day)]; " " (name) }
                }
            }
        }
    }
}

/// How a selector chooses, and its text, as fields.
fn how(which: &Selector) -> (&'static str, String) {
    match which {
        Selector::Any => ("any", String::new()),
        Selector::Name(name) => ("name", name.clone()),
        Selector::Wildcard(pattern) => ("wildcard", pattern.clone()),
        Selector::Label { name, value } => ("label", format!("{name}={value}")),
    }
}

/// The fields of a policy, and whether they say all of it.
pub fn fill(spec: &PolicySpec) -> (Fields, bool) {
    let mut fields = Fields::default();
    let mut put = |name: &str, value: String| fields.0.push((name.to_string(), value));
    put("description", spec.description.clone());
    for (row, target) in (1..=TARGETS_MAX).zip(&spec.targets) {
        let (whose, which) = match target {
            Target::Topics(which) => ("topics", which),
            Target::Clients(which) => ("clients", which),
        };
        let (how, text) = how(which);
        put(&format!("whose-{row}"), whose.into());
        put(&format!("how-{row}"), how.into());
        put(&format!("which-{row}"), text);
    }
    for trigger in &spec.triggers {
        match trigger {
            Trigger::Cron { expression, zone } => {
                put("cron", expression.clone());
                put("zone", zone.clone());
            }
            Trigger::Joins(count) => put("joins", count.to_string()),
            Trigger::Leaves(count) => put("leaves", count.to_string()),
            Trigger::Once => put("once", "yes".into()),
        }
    }
    let pace = &spec.pace;
    put("per-minute", pace.per_minute.to_string());
    put("canary", pace.canary.to_string());
    if let Some(which) = &pace.canary_of {
        let (how, text) = how(which);
        put("canary-how", how.into());
        put("canary-which", text);
    }
    put("abort", pace.abort_percent.to_string());
    put("patience", pace.patience.div_ceil(60).to_string());
    if pace.zero_loss {
        put("zero-loss", "yes".into());
    }
    if let Some(window) = &pace.window {
        put("from", clock(window.from));
        put("to", clock(window.to));
        put("window-zone", window.zone.clone());
        for day in &window.days {
            put("day", day.to_string());
        }
    }
    let whole = read(&fields).is_ok_and(|read| read == *spec);
    (fields, whole)
}

/// The policy that a form describes.
///
/// # Errors
/// [`Error::Invalid`] with the name of the field.
pub fn read(fields: &Fields) -> Result<PolicySpec, Error> {
    let mut targets = Vec::new();
    for row in 1..=TARGETS_MAX {
        let field = |name: &str| fields.trimmed(&format!("{name}-{row}"));
        let which = which(field("how"), field("which"))?;
        targets.extend(match (field("whose"), which) {
            ("topics", Some(which)) => Some(Target::Topics(which)),
            ("clients", Some(which)) => Some(Target::Clients(which)),
            ("topics" | "clients", None) => {
                let why = format!("row {row} has no name, pattern or label");
                return Err(Error::invalid("whose keys", why));
            }
            _ => None,
        });
    }
    if targets.is_empty() {
        return Err(Error::invalid("whose keys", "nothing is chosen"));
    }
    let mut triggers = Vec::new();
    let expression = fields.trimmed("cron");
    if !expression.is_empty() {
        let (expression, zone) = (expression.to_string(), zone(fields, "zone"));
        triggers.push(Trigger::Cron { expression, zone });
    }
    let number = |name| fields.number(name, 0);
    for (name, make) in
        [("joins", Trigger::Joins as fn(i64) -> Trigger), ("leaves", Trigger::Leaves)]
    {
        match number(name)? {
            0 => {}
            count @ 1.. => triggers.push(make(count)),
            _ => return Err(Error::invalid(name, "is below 0")),
        }
    }
    if fields.ticked("once") {
        triggers.push(Trigger::Once);
    }
    if triggers.is_empty() {
        return Err(Error::invalid("when", "nothing is filled in"));
    }
    let small = |name, or| {
        u32::try_from(fields.number(name, or)?)
            .map_err(|_| Error::invalid(name, "is not a number that fits"))
    };
    let abort_percent = u8::try_from(fields.number("abort", 100)?).ok();
    let too_long = || Error::invalid("patience", "is too long");
    let pace = Pace {
        per_minute: small("per-minute", 0)?,
        canary: small("canary", 0)?,
        canary_of: which(fields.trimmed("canary-how"), fields.trimmed("canary-which"))?,
        abort_percent: abort_percent
            .filter(|percent| *percent <= 100)
            .ok_or_else(|| Error::invalid("abort", "is not between 0 and 100"))?,
        patience: small("patience", 60)?.checked_mul(60).ok_or_else(too_long)?,
        window: window(fields)?,
        zero_loss: fields.ticked("zero-loss"),
    };
    let description = fields.trimmed("description").to_string();
    Ok(PolicySpec { description, targets, triggers, pace })
}

fn which(how: &str, text: &str) -> Result<Option<Selector>, Error> {
    if how == "any" {
        return Ok(Some(Selector::Any));
    }
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(match how {
        "name" => Selector::Name(text.into()),
        "label" => {
            let pair = text.split_once('=');
            let (name, value) =
                pair.ok_or_else(|| Error::invalid("label", "has to be name=value"))?;
            Selector::Label { name: name.trim().into(), value: value.trim().into() }
        }
        _ => Selector::Wildcard(text.into()),
    }))
}

fn zone(fields: &Fields, name: &str) -> String {
    match fields.trimmed(name) {
        "" => "UTC".into(),
        zone => zone.into(),
    }
}

fn window(fields: &Fields) -> Result<Option<Window>, Error> {
    let minutes = |name: &'static str| {
        let wrong = || Error::invalid(name, "is not a time such as 22:30");
        let (hour, minute) = fields.trimmed(name).split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let (hour, minute) = (number(hour)?, number(minute)?);
        if hour < 24 && minute < 60 { Ok(hour * 60 + minute) } else { Err(wrong()) }
    };
    if fields.trimmed("from").is_empty() && fields.trimmed("to").is_empty() {
        return Ok(None);
    }
    let days = fields.all("day").filter_map(|day| day.parse().ok());
    let days = days.filter(|day| (1..=7).contains(day)).collect();
    let zone = zone(fields, "window-zone");
    Ok(Some(Window { from: minutes("from")?, to: minutes("to")?, days, zone }))
}
