// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 policy …`

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::labels::pair;
use super::list::Part;
use super::output::{self, confirm, shown, time};
use super::{Common, campaigns};

/// Keys that rotate by themselves: by the calendar, when somebody joins or leaves, or once
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 policy create monthly --topic 'plant/*' --cron '0 3 1 * *' --zone Europe/Zurich
  e4 policy create leavers --all-topics --after-leaves 1
  e4 policy run monthly --dry-run
  e4 policy list")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Add a policy
    #[command(after_help = "\
Examples:
  e4 policy create monthly --topic 'plant/*' --cron '0 3 1 * *' --zone Europe/Zurich
  e4 policy create berlin --client-label site=berlin --cron '0 2 * * sun' \\
     --per-minute 100 --canary 10 --abort 5% --patience 10m --window 22:00-05:00
  e4 policy create leavers --all-topics --after-leaves 1
  e4 policy create now --topic plant/pressure --now --zero-loss")]
    Create(Box<Create>),
    /// List the policies by name
    #[command(after_help = "Example:\n  e4 policy list --json | jq -r '.[].nextAt'")]
    List {
        #[command(flatten)]
        part: Part,
    },
    /// Show what a policy says, when it runs next, and its last runs
    #[command(after_help = "Example:\n  e4 policy show monthly")]
    Show { name: String },
    /// Have a policy rest
    #[command(after_help = "Example:\n  e4 policy pause monthly")]
    Pause { name: String },
    /// Have a policy go on
    #[command(after_help = "Example:\n  e4 policy resume monthly")]
    Resume { name: String },
    /// Run a policy now
    #[command(after_help = "Examples:\n  e4 policy run monthly --dry-run\n  e4 policy run monthly")]
    Run {
        name: String,
        /// Rotate nothing, and say what that would do
        #[arg(long)]
        dry_run: bool,
    },
    /// Forget a policy; a run of it that is under way is cancelled
    #[command(after_help = "Example:\n  e4 policy delete monthly --yes")]
    Delete {
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
struct Create {
    /// Name, 1 to 64 bytes; audit records have it
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten, next_help_heading = "Whose keys")]
    targets: Targets,
    #[command(flatten, next_help_heading = "When")]
    triggers: Triggers,
    #[command(flatten, next_help_heading = "How")]
    pace: Pace,
}

#[derive(Args)]
#[group(id = "targets", required = true, multiple = true)]
struct Targets {
    /// Topics of this name, or whose names fit: * is any text, ? any one character
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// Topics with this label
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    topic_label: Vec<(String, String)>,
    /// All topics
    #[arg(long)]
    all_topics: bool,
    /// Clients' own keys, by name or pattern
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
    /// Own keys of clients with this label
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    client_label: Vec<(String, String)>,
    /// Own keys of all clients
    #[arg(long)]
    all_clients: bool,
}

#[derive(Args)]
struct Triggers {
    /// By the calendar: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "EXPRESSION",
          required_unless_present_any = ["after_joins", "after_leaves", "now"])]
    cron: Vec<String>,
    /// Time zone of --cron and --window [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A topic's key after so many clients joined it; a client's, topics
    #[arg(long, value_name = "NUMBER")]
    after_joins: Option<i64>,
    /// The same after so many left
    #[arg(long, value_name = "NUMBER")]
    after_leaves: Option<i64>,
    /// Once, now
    #[arg(long)]
    now: bool,
}

#[derive(Args)]
struct Pace {
    /// Keys in a minute at most [default: all at once]
    #[arg(long, value_name = "NUMBER")]
    per_minute: Option<i32>,
    /// So many first; the others begin once these have confirmed
    #[arg(long, value_name = "NUMBER")]
    canary: Option<i32>,
    /// First those with this label
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "canary")]
    canary_label: Option<(String, String)>,
    /// Stop when more than this share of those whose turn has come fail [default: never]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    abort: Option<i32>,
    /// How long a key may take to be confirmed until it has failed: 90s, 10m, 2h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    patience: Option<i32>,
    /// Only at this time of the day
    #[arg(long, value_name = "FROM-TO")]
    window: Option<String>,
    /// Days on which the window begins: mon,tue,…
    #[arg(long, value_name = "DAY,...", value_delimiter = ',', value_parser = day,
          requires = "window")]
    days: Vec<i32>,
    /// Topics: receivers first, senders when these have confirmed
    #[arg(long)]
    zero_loss: bool,
}

/// `90s`, `10m`, `2h`, `1d`, as seconds.
pub fn seconds(text: &str) -> Result<i32, String> {
    let wrong = || "a time is for example 90s, 10m, 2h or 1d".to_string();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: i32 = text.strip_suffix(unit).unwrap_or("").parse().map_err(|_| wrong())?;
    count.checked_mul(factor).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

fn percent(text: &str) -> Result<i32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let number = number.filter(|number| (0..=100).contains(number));
    number.ok_or_else(|| "a share is 0% to 100%".into())
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(text: &str) -> Result<i32, String> {
    let found = (1..).zip(DAYS).find(|(_, name)| name.eq_ignore_ascii_case(text));
    let found = found.map(|(number, _)| number);
    found.ok_or_else(|| format!("a day is one of {}", DAYS.join(", ")))
}

/// The selector of a label.
pub fn label((name, value): &(String, String)) -> pb::Selector {
    let label = pb::Label { name: name.clone(), value: value.clone() };
    pb::Selector { which: Some(pb::selector::Which::Label(label)) }
}

fn named(text: &str) -> pb::Selector {
    let which = match text.contains(['*', '?']) {
        true => pb::selector::Which::Wildcard(text.into()),
        false => pb::selector::Which::Name(text.into()),
    };
    pb::Selector { which: Some(which) }
}

fn any(given: bool) -> Option<pb::Selector> {
    given.then_some(pb::Selector { which: Some(pb::selector::Which::Any(true)) })
}

impl Create {
    fn spec(&self) -> Result<pb::PolicySpec, Failure> {
        use pb::policy_target::Target;
        use pb::policy_trigger::Trigger;
        let Targets { topics, topic_label, all_topics, clients, client_label, all_clients } =
            &self.targets;
        let of = |names: &[String], labels: &[(String, String)], all: bool| {
            let named = names.iter().map(|name| named(name)).chain(labels.iter().map(label));
            named.chain(any(all)).collect::<Vec<_>>()
        };
        let topics = of(topics, topic_label, *all_topics).into_iter().map(Target::Topics);
        let clients = of(clients, client_label, *all_clients).into_iter().map(Target::Clients);
        let targets = topics.chain(clients);
        let Triggers { cron, zone, after_joins, after_leaves, now } = &self.triggers;
        let zone = zone.clone().unwrap_or_default();
        let cron = cron.iter().map(|expression| {
            Trigger::Cron(pb::Cron { expression: expression.clone(), zone: zone.clone() })
        });
        let triggers = cron
            .chain(after_joins.map(Trigger::Joins))
            .chain(after_leaves.map(Trigger::Leaves))
            .chain(now.then_some(Trigger::Once(true)));
        let window = match &self.pace.window {
            None => None,
            Some(text) => {
                let (from, to) = text.split_once('-').ok_or_else(|| {
                    Failure::new(format!("{text:?} is no part of the day"))
                        .hint("for example --window 22:00-05:00")
                })?;
                let (from, to, days) = (from.into(), to.into(), self.pace.days.clone());
                Some(pb::MaintenanceWindow { from, to, days, zone: zone.clone() })
            }
        };
        Ok(pb::PolicySpec {
            description: self.description.clone().unwrap_or_default(),
            targets: targets.map(|target| pb::PolicyTarget { target: Some(target) }).collect(),
            triggers: triggers
                .map(|trigger| pb::PolicyTrigger { trigger: Some(trigger) })
                .collect(),
            pace: Some(pb::Pace {
                per_minute: self.pace.per_minute.unwrap_or_default(),
                canary: self.pace.canary.unwrap_or_default(),
                canary_of: self.pace.canary_label.as_ref().map(label),
                abort_percent: self.pace.abort,
                patience: self.pace.patience,
                window,
                zero_loss: self.pace.zero_loss,
            }),
        })
    }
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    let json = common.json;
    if let Task::Delete { name, yes: false } = &arguments.task {
        confirm(&format!("Forget the policy {}?", shown(name)), "--yes")?;
    }
    let spec = match &arguments.task {
        Task::Create(create) => Some(create.spec()?),
        _ => None,
    };
    let server = common.connect()?;
    match &arguments.task {
        Task::Create(create) => {
            let request = pb::CreatePolicyRequest { name: create.name.clone(), spec };
            let policy = server.call(async |c2| c2.create_policy(request).await)?;
            said(&policy, "created", json)
        }
        Task::List { part } => {
            let policies = part.collect(
                |policy: &pb::Policy| policy.name.as_str(),
                |after, count| {
                    let request = pb::ListPoliciesRequest { count, after };
                    Ok(server.call(async |c2| c2.list_policies(request).await)?.policies)
                },
            )?;
            if json {
                return output::json(&policies.iter().map(object).collect());
            }
            let rows: Vec<Vec<String>> = policies.iter().map(row).collect();
            output::table(&["NAME", "KEYS OF", "WHEN", "NEXT RUN", "RUNS"], &rows)
        }
        Task::Show { name } => {
            let request = pb::GetPolicyRequest { name: name.clone() };
            let policy = server.call(async |c2| c2.get_policy(request).await)?;
            if json {
                return output::json(&object(&policy));
            }
            show(&policy)?;
            let request = pb::ListCampaignsRequest { policy: name.clone(), before: 0, count: 5 };
            let runs = server.call(async |c2| c2.list_campaigns(request).await)?.campaigns;
            runs.iter().try_for_each(|run| campaigns::print(run, false))
        }
        Task::Pause { name } => {
            let request = pb::PausePolicyRequest { name: name.clone() };
            said(&server.call(async |c2| c2.pause_policy(request).await)?, "rests", json)
        }
        Task::Resume { name } => {
            let request = pb::ResumePolicyRequest { name: name.clone() };
            said(&server.call(async |c2| c2.resume_policy(request).await)?, "goes on", json)
        }
        Task::Run { name, dry_run } => {
            let request = pb::RunPolicyRequest { name: name.clone(), dry_run: *dry_run };
            let done = server.call(async |c2| c2.run_policy(request).await)?;
            match (done.campaign, done.plan) {
                (Some(campaign), _) => campaigns::print(&campaign, json),
                (None, Some(plan)) => planned(&plan, json),
                (None, None) => Err(Failure::new("the server did not say what it did")),
            }
        }
        Task::Delete { name, .. } => {
            let request = pb::DeletePolicyRequest { name: name.clone() };
            server.call(async |c2| c2.delete_policy(request).await)?;
            match json {
                true => output::json(&json!({ "policy": name })),
                false => output::line(&format!("policy {} deleted", shown(name))),
            }
        }
    }
}

fn said(policy: &pb::Policy, done: &str, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&object(policy));
    }
    output::line(&format!("policy {} {done}", shown(&policy.name)))?;
    match next(policy) {
        Some(next) => output::line(&format!("next run: {next}")),
        None => Ok(()),
    }
}

fn planned(plan: &pb::PolicyPlan, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&json!({
            "topics": plan.topics,
            "clients": plan.clients,
            "names": plan.names,
            "seconds": plan.seconds,
        }));
    }
    output::line(&format!(
        "it would rotate the keys of {} topics and {} clients, in about {} min",
        plan.topics,
        plan.clients,
        (plan.seconds + 59) / 60
    ))?;
    plan.names.iter().try_for_each(|name| output::line(&shown(name)))?;
    let more = plan.topics + plan.clients - i64::try_from(plan.names.len()).unwrap_or_default();
    if more > 0 { output::line(&format!("… and {more} more")) } else { Ok(()) }
}

fn show(policy: &pb::Policy) -> Result<(), Failure> {
    let line = |name: &str, text: &str| output::line(&format!("{name:<12}{}", shown(text)));
    let spec = policy.spec.clone().unwrap_or_default();
    let pace = spec.pace.clone().unwrap_or_default();
    line("policy", &policy.name)?;
    if !spec.description.is_empty() {
        line("for", &spec.description)?;
    }
    line("keys of", &targets(&spec))?;
    line("when", &triggers(&spec))?;
    line("next run", &next(policy).unwrap_or_else(|| "-".into()))?;
    let last = time(policy.last_at.as_ref()).unwrap_or_else(|| "never".into());
    line("last run", &format!("{last}, {} in all", policy.runs))?;
    for words in paces(&pace) {
        line("how", &words)?;
    }
    Ok(())
}

fn paces(pace: &pb::Pace) -> Vec<String> {
    let mut all = Vec::new();
    if pace.per_minute > 0 {
        all.push(format!("{} keys a minute at most", pace.per_minute));
    }
    if pace.canary > 0 {
        all.push(format!("{} first, the others once these have confirmed", pace.canary));
    }
    if let Some(first) = &pace.canary_of {
        all.push(format!("first {}, the others once these have confirmed", selector(first)));
    }
    if let Some(percent) = pace.abort_percent.filter(|percent| *percent < 100) {
        all.push(format!("it stops when more than {percent} % fail"));
    }
    if let Some(patience) = pace.patience {
        all.push(format!("a key that is not confirmed after {patience} s has failed"));
    }
    if let Some(window) = &pace.window {
        let days: Vec<&str> = window
            .days
            .iter()
            .filter_map(|day| DAYS.get(usize::try_from(*day).ok()?.checked_sub(1)?).copied())
            .collect();
        let days = if days.is_empty() { String::new() } else { format!(" on {}", days.join(", ")) };
        all.push(format!("from {} to {}{days} ({})", window.from, window.to, window.zone));
    }
    if pace.zero_loss {
        all.push("topics in two stages, receivers first".into());
    }
    all
}

fn selector(selector: &pb::Selector) -> String {
    match &selector.which {
        None => "nobody".into(),
        Some(pb::selector::Which::Any(_)) => "all".into(),
        Some(pb::selector::Which::Name(name)) => name.clone(),
        Some(pb::selector::Which::Wildcard(pattern)) => pattern.clone(),
        Some(pb::selector::Which::Label(label)) => format!("{}={}", label.name, label.value),
    }
}

fn targets(spec: &pb::PolicySpec) -> String {
    let words = spec.targets.iter().map(|target| match &target.target {
        Some(pb::policy_target::Target::Topics(of)) => format!("topics {}", selector(of)),
        Some(pb::policy_target::Target::Clients(of)) => format!("clients {}", selector(of)),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn triggers(spec: &pb::PolicySpec) -> String {
    let words = spec.triggers.iter().map(|trigger| match &trigger.trigger {
        Some(pb::policy_trigger::Trigger::Cron(cron)) => {
            format!("{} ({})", cron.expression, cron.zone)
        }
        Some(pb::policy_trigger::Trigger::Joins(count)) => format!("after {count} joins"),
        Some(pb::policy_trigger::Trigger::Leaves(count)) => format!("after {count} leaves"),
        Some(pb::policy_trigger::Trigger::Once(_)) => "once".into(),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// When it runs next, in its own zone.
fn next(policy: &pb::Policy) -> Option<String> {
    if policy.paused {
        return Some("it rests".into());
    }
    let at = policy.next_at.as_ref()?;
    let zone =
        policy.spec.iter().flat_map(|spec| &spec.triggers).find_map(|trigger| {
            match &trigger.trigger {
                Some(pb::policy_trigger::Trigger::Cron(cron)) => TimeZone::get(&cron.zone).ok(),
                _ => None,
            }
        });
    let at = Timestamp::from_second(at.seconds).ok()?;
    let at = at.to_zoned(zone.unwrap_or(TimeZone::UTC));
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z (%Z)").to_string())
}

fn row(policy: &pb::Policy) -> Vec<String> {
    let spec = policy.spec.clone().unwrap_or_default();
    vec![
        policy.name.clone(),
        targets(&spec),
        triggers(&spec),
        next(policy).unwrap_or_default(),
        policy.runs.to_string(),
    ]
}

fn object(policy: &pb::Policy) -> Value {
    let spec = policy.spec.clone().unwrap_or_default();
    let pace = spec.pace.clone().unwrap_or_default();
    let window = pace.window.as_ref().map(|window| {
        json!({
            "from": window.from,
            "to": window.to,
            "days": window.days,
            "zone": window.zone,
        })
    });
    let target = |target: &pb::PolicyTarget| match &target.target {
        Some(pb::policy_target::Target::Topics(of)) => json!({ "topics": selector(of) }),
        Some(pb::policy_target::Target::Clients(of)) => json!({ "clients": selector(of) }),
        None => Value::Null,
    };
    let trigger = |trigger: &pb::PolicyTrigger| match &trigger.trigger {
        Some(pb::policy_trigger::Trigger::Cron(cron)) => {
            json!({ "cron": cron.expression, "zone": cron.zone })
        }
        Some(pb::policy_trigger::Trigger::Joins(count)) => json!({ "joins": count }),
        Some(pb::policy_trigger::Trigger::Leaves(count)) => json!({ "leaves": count }),
        Some(pb::policy_trigger::Trigger::Once(_)) => json!({ "once": true }),
        None => Value::Null,
    };
    json!({
        "number": policy.number,
        "name": policy.name,
        "description": spec.description,
        "targets": spec.targets.iter().map(target).collect::<Vec<_>>(),
        "triggers": spec.triggers.iter().map(trigger).collect::<Vec<_>>(),
        "pace": {
            "perMinute": pace.per_minute,
            "canary": pace.canary,
            "canaryOf": pace.canary_of.as_ref().map(selector),
            "abortPercent": pace.abort_percent,
            "patience": pace.patience,
            "window": window,
            "zeroLoss": pace.zero_loss,
        },
        "paused": policy.paused,
        "createdAt": time(policy.created_at.as_ref()),
        "nextAt": time(policy.next_at.as_ref()),
        "lastAt": time(policy.last_at.as_ref()),
        "runs": policy.runs,
    })
}

#[cfg(test)]
mod tests {
    use super::{day, percent, seconds};

    #[test]
    fn times_shares_and_days() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("1d"), Ok(86_400));
        for wrong in ["", "m", "10", "0s", "-1m", "99999999h", "1é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!((percent("5%"), percent("100")), (Ok(5), Ok(100)));
        for wrong in ["", "%", "101%", "-1", "a"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!((day("mon"), day("Sun")), (Ok(1), Ok(7)));
        assert!(day("noday").is_err());
    }
}
