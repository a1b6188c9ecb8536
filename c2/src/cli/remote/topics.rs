// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 topic …`

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use serde_json::json;
use tonic::Code;

use super::super::failure::Failure;
use super::change::{self, Change, Wish};
use super::labels::pair;
use super::list::{self, Part};
use super::output::{self, confirm, shown, time};
use super::policies::{label, seconds};
use super::server::{self, Server};
use super::{Common, status};

/// Add, show and remove topics; give them new keys
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 topic create plant/pressure
  e4 topic rotate plant/pressure && e4 status --topic plant/pressure --wait
  e4 topic clients plant/pressure")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Add topics, each with a key
    #[command(after_help = "Example:\n  e4 topic create plant/pressure plant/valve")]
    Create {
        #[arg(value_name = "TOPIC", required = true)]
        topics: Vec<String>,
    },
    /// Give topics new keys, which all their clients are sent
    #[command(after_help = "\
Examples:
  e4 topic rotate plant/pressure
  e4 topic rotate plant/pressure --plan
  e4 topic rotate plant/pressure --receivers dashboard,historian --deadline 5m
  e4 topic rotate --all --yes")]
    Rotate(Rotate),
    /// Remove topics; their clients are told to forget the keys
    #[command(after_help = "Example:\n  e4 topic remove plant/pressure")]
    Remove {
        #[arg(value_name = "TOPIC", required = true)]
        topics: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List the topics by name
    #[command(after_help = "Example:\n  e4 topic list --json | jq -r '.[]'")]
    List {
        #[command(flatten)]
        part: Part,
    },
    /// Show how far the key of a topic has come
    #[command(after_help = "Example:\n  e4 topic show plant/pressure")]
    Show { topic: String },
    /// List the clients of a topic
    #[command(after_help = "Example:\n  e4 topic clients plant/pressure")]
    Clients {
        topic: String,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Args)]
struct Rotate {
    #[arg(value_name = "TOPIC", required_unless_present = "all", conflicts_with = "all")]
    topics: Vec<String>,
    /// All topics
    #[arg(long)]
    all: bool,
    /// Do not ask, with --all
    #[arg(long, short)]
    yes: bool,
    /// Rotate nothing, and say what that would do: who is awake, who will miss it, how long it takes
    #[arg(long, conflicts_with = "all")]
    plan: bool,
    /// Clients that only receive get the key first, the others once these have confirmed it: no
    /// message is lost
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
          conflicts_with_all = ["all", "plan"])]
    receivers: Vec<String>,
    /// The same, by a label
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair,
          conflicts_with_all = ["all", "plan", "receivers"])]
    receivers_label: Option<(String, String)>,
    /// The others get it after this time at the latest, up to 30m [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    deadline: Option<i32>,
}

impl Rotate {
    fn in_two_stages(&self) -> bool {
        !self.receivers.is_empty() || self.receivers_label.is_some()
    }

    fn run(&self, server: &Server, json: bool) -> Result<(), Failure> {
        if self.deadline.is_some() && !self.in_two_stages() {
            return Err(Failure::new("a deadline is for a rotation in two stages")
                .hint("say who only receives: --receivers, --receivers-label"));
        }
        let all;
        let topics = match self.all {
            true => {
                all = list::topics(server, &Part::default())?;
                if !self.yes {
                    confirm(&format!("Give all {} topics new keys?", all.len()), "--yes")?;
                }
                &all
            }
            // For the server a new key and a new topic are one.
            false => match find(server, &self.topics, false)? {
                Some(topic) => {
                    return Err(Failure::new(format!("topic {} does not exist", shown(topic)))
                        .hint("to create it: e4 topic create"));
                }
                None => &self.topics,
            },
        };
        if self.plan {
            return topics.iter().try_for_each(|topic| plan(server, topic, json));
        }
        if self.in_two_stages() {
            return topics.iter().try_for_each(|topic| self.staged(server, topic, json));
        }
        let wishes = topics.iter().map(|topic| keyed(topic, "has a new key"));
        change::make(server, wishes.collect(), json)
    }

    fn staged(&self, server: &Server, topic: &str, json: bool) -> Result<(), Failure> {
        let request = pb::RotateTopicRequest {
            topic: topic.into(),
            receivers: self.receivers.clone(),
            receivers_of: self.receivers_label.as_ref().map(label),
            deadline: self.deadline.unwrap_or_default().into(),
        };
        let answer = server.answer(async |c2| c2.rotate_topic(request).await)?;
        let operation = server::operation(&answer).unwrap_or_default();
        match json {
            true => output::json(&json!({ "topic": topic, "operation": operation })),
            false => output::line(&format!(
                "topic {} has a new key, receivers get it first (operation {operation})",
                shown(topic)
            )),
        }
    }
}

fn plan(server: &Server, topic: &str, json: bool) -> Result<(), Failure> {
    let request = pb::GetRotationPlanRequest { topic: topic.into() };
    let plan = server.call(async |c2| c2.get_rotation_plan(request).await)?;
    let until = time(plan.under_way_until.as_ref());
    if json {
        return output::json(&json!({
            "topic": plan.topic,
            "epoch": plan.epoch,
            "members": plan.members,
            "awake": plan.awake,
            "asleep": plan.asleep,
            "asleepNames": plan.asleep_names,
            "silent": plan.silent,
            "expectedSeconds": plan.expected_seconds,
            "underWayUntil": until,
        }));
    }
    let line = |name: &str, text: String| output::line(&format!("{name:<10}{text}"));
    line("topic", shown(&plan.topic))?;
    line("clients", plan.members.to_string())?;
    line("awake", plan.awake.to_string())?;
    line("asleep", format!("{}, which will miss it until they wake", plan.asleep))?;
    line("silent", format!("{}, which never answer", plan.silent))?;
    line("takes", format!("about {} s for those that are awake", plan.expected_seconds))?;
    if let Some(until) = until {
        line("now", format!("a rotation in two stages is under way, until {until} at most"))?;
    }
    if !plan.asleep_names.is_empty() {
        output::line("")?;
        plan.asleep_names.iter().try_for_each(|name| output::line(&shown(name)))?;
    }
    Ok(())
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.common.json;
    let server = arguments.common.connect()?;
    match &arguments.task {
        Task::Create { topics } => {
            if let Some(topic) = find(&server, topics, true)? {
                return Err(Failure::new(format!("topic {} exists", shown(topic)))
                    .hint("to give it a new key: e4 topic rotate"));
            }
            let wishes = topics.iter().map(|topic| keyed(topic, "created"));
            change::make(&server, wishes.collect(), json)
        }
        Task::Rotate(rotate) => rotate.run(&server, json),
        Task::Remove { topics, yes } => {
            if !yes {
                let what = match topics.as_slice() {
                    [topic] => format!("topic {}", shown(topic)),
                    topics => format!("{} topics", topics.len()),
                };
                confirm(&format!("Remove {what} and have its clients forget the key?"), "--yes")?;
            }
            let wish = |topic: &String| Wish {
                about: vec![("topic", topic.clone())],
                done: format!("topic {topic} removed"),
                change: Change::RemoveTopic(pb::RemoveTopicRequest { topic: topic.clone() }),
            };
            change::make(&server, topics.iter().map(wish).collect(), json)
        }
        Task::List { part } => list::print(&list::topics(&server, part)?, json),
        Task::Show { topic } => status::topic(&server, topic, json),
        Task::Clients { topic, part } => {
            let names = part.names(|after, count| {
                let request =
                    pb::GetClientsForTopicRequest { topic: topic.clone(), offset: 0, count, after };
                let found = server.call(async |c2| c2.get_clients_for_topic(request).await)?;
                Ok(list::clients(found.clients))
            })?;
            list::print(&names, json)
        }
    }
}

fn keyed(topic: &str, done: &str) -> Wish {
    Wish {
        about: vec![("topic", topic.into())],
        done: format!("topic {topic} {done}"),
        change: Change::NewTopic(pb::NewTopicRequest { topic: topic.into() }),
    }
}

/// The first topic that exists, or that does not.
fn find<'a>(
    server: &Server,
    topics: &'a [String],
    existing: bool,
) -> Result<Option<&'a String>, Failure> {
    for topic in topics {
        let request = pb::GetTopicStateRequest { topic: topic.clone() };
        let exists = match server.attempt(async |c2| c2.get_topic_state(request).await) {
            Ok(_) => true,
            Err(status) if status.code() == Code::NotFound => false,
            Err(status) => return Err(server.failure(&status)),
        };
        if exists == existing {
            return Ok(Some(topic));
        }
    }
    Ok(None)
}
