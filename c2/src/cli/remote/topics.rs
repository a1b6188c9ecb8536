// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 topic …`

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use tonic::Code;

use super::super::failure::Failure;
use super::change::{self, Change, Wish};
use super::list::{self, Part};
use super::output::{confirm, shown};
use super::server::Server;
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
  e4 topic rotate --all --yes")]
    Rotate {
        #[arg(value_name = "TOPIC", required_unless_present = "all", conflicts_with = "all")]
        topics: Vec<String>,
        /// All topics
        #[arg(long)]
        all: bool,
        /// Do not ask, with --all
        #[arg(long, short)]
        yes: bool,
    },
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
        Task::Rotate { topics, all: false, .. } => {
            // For the server a new key and a new topic are one.
            if let Some(topic) = find(&server, topics, false)? {
                return Err(Failure::new(format!("topic {} does not exist", shown(topic)))
                    .hint("to create it: e4 topic create"));
            }
            let wishes = topics.iter().map(|topic| keyed(topic, "has a new key"));
            change::make(&server, wishes.collect(), json)
        }
        Task::Rotate { all: true, yes, .. } => {
            let topics = list::topics(&server, &Part::default())?;
            if !yes {
                confirm(&format!("Give all {} topics new keys?", topics.len()), "--yes")?;
            }
            let wishes = topics.iter().map(|topic| keyed(topic, "has a new key"));
            change::make(&server, wishes.collect(), json)
        }
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
