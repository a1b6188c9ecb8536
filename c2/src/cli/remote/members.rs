// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 attach`, `e4 detach`

use clap::Args;
use e4_c2::api::pb;

use super::super::failure::Failure;
use super::Common;
use super::change::{self, Change, Wish, client};

/// Give clients the key of a topic
#[derive(Args)]
#[command(
    override_usage = "e4 attach CLIENT... TOPIC\n       e4 attach CLIENT... --topic TOPIC...",
    after_help = "\
Examples:
  e4 attach pump-1 gauge plant/pressure
  e4 attach pump-1 --topic plant/pressure --topic plant/valve
  e4 client list --json | jq -r '.[]' | xargs e4 attach --topic plant/news"
)]
pub struct Attach {
    #[command(flatten)]
    members: Members,
}

/// Take the key of a topic from clients
#[derive(Args)]
#[command(
    override_usage = "e4 detach CLIENT... TOPIC\n       e4 detach CLIENT... --topic TOPIC...",
    after_help = "\
Examples:
  e4 detach pump-1 plant/pressure
  e4 detach pump-1 --topic plant/pressure --topic plant/valve"
)]
pub struct Detach {
    #[command(flatten)]
    members: Members,
}

#[derive(Args)]
struct Members {
    #[command(flatten)]
    common: Common,
    /// Clients, and at the end the topic
    #[arg(value_name = "CLIENT", required = true)]
    names: Vec<String>,
    /// Topic; the names are clients alone then
    #[arg(long = "topic", short, value_name = "TOPIC")]
    topics: Vec<String>,
}

/// Attaches.
pub fn attach(arguments: &Attach) -> Result<(), Failure> {
    arguments.members.make(|name, topic| Wish {
        about: vec![("client", name.into()), ("topic", topic.into())],
        done: format!("client {name} is sent the key of {topic}"),
        change: Change::NewTopicClient(pb::NewTopicClientRequest {
            client: client(name),
            topic: topic.into(),
        }),
    })
}

/// Detaches.
pub fn detach(arguments: &Detach) -> Result<(), Failure> {
    arguments.members.make(|name, topic| Wish {
        about: vec![("client", name.into()), ("topic", topic.into())],
        done: format!("client {name} is told to forget the key of {topic}"),
        change: Change::RemoveTopicClient(pb::RemoveTopicClientRequest {
            client: client(name),
            topic: topic.into(),
        }),
    })
}

impl Members {
    fn make(&self, wish: impl Fn(&str, &str) -> Wish) -> Result<(), Failure> {
        let (clients, topics) = match (self.topics.as_slice(), self.names.split_last()) {
            ([], Some((_, []))) => {
                return Err(Failure::new("a client and a topic are needed")
                    .hint("for example e4 attach pump-1 plant/pressure"));
            }
            ([], Some((topic, clients))) => (clients, std::slice::from_ref(topic)),
            (topics, _) => (self.names.as_slice(), topics),
        };
        let pairs = clients.iter().flat_map(|name| topics.iter().map(move |topic| (name, topic)));
        let wishes = pairs.map(|(name, topic)| wish(name, topic)).collect();
        change::make(&self.common.connect()?, wishes, self.common.json)
    }
}
