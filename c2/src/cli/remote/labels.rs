// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 label …`

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use serde_json::{Map, json};

use super::super::failure::Failure;
use super::output::{self, shown};
use super::{Common, server};

/// Label clients and topics; policies and lists go by labels
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 label set --client pump-1 site=berlin line=3
  e4 label set --topic plant/pressure critical=yes
  e4 label list --client pump-1")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Give labels; one of the same name is replaced
    #[command(after_help = "Example:\n  e4 label set --client pump-1 site=berlin line=3")]
    Set {
        #[command(flatten)]
        subject: Subject,
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
        labels: Vec<(String, String)>,
    },
    /// Take labels away
    #[command(after_help = "Example:\n  e4 label remove --client pump-1 line")]
    Remove {
        #[command(flatten)]
        subject: Subject,
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// List the labels of a client or a topic
    #[command(after_help = "Example:\n  e4 label list --client pump-1 --json")]
    List {
        #[command(flatten)]
        subject: Subject,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Client
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
}

impl Subject {
    fn client(&self) -> String {
        self.client.clone().unwrap_or_default()
    }

    fn topic(&self) -> String {
        self.topic.clone().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.client.as_deref().or(self.topic.as_deref()).unwrap_or_default()
    }
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.into(), value.into()))
        }
        _ => Err("a label is NAME=VALUE, for example site=berlin".into()),
    }
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.common.json;
    let c2 = arguments.common.connect()?;
    let done = |subject: &Subject, words: String, operation: Option<i64>| match json {
        true => output::json(&json!({ "subject": subject.name(), "operation": operation })),
        false => {
            let number = operation.map(|number| format!(" (operation {number})"));
            let words = format!("{} {}", shown(subject.name()), shown(&words));
            output::line(&format!("{words}{}", number.unwrap_or_default()))
        }
    };
    match &arguments.task {
        Task::Set { subject, labels } => labels.iter().try_for_each(|(name, value)| {
            let request = pb::SetLabelRequest {
                client: subject.client(),
                topic: subject.topic(),
                name: name.clone(),
                value: value.clone(),
            };
            let answer = c2.answer(async |c2| c2.set_label(request).await)?;
            done(subject, format!("has {name}={value}"), server::operation(&answer))
        }),
        Task::Remove { subject, names } => names.iter().try_for_each(|name| {
            let (client, topic) = (subject.client(), subject.topic());
            let request = pb::RemoveLabelRequest { client, topic, name: name.clone() };
            let answer = c2.answer(async |c2| c2.remove_label(request).await)?;
            done(subject, format!("has no {name}"), server::operation(&answer))
        }),
        Task::List { subject } => {
            let request = pb::GetLabelsRequest { client: subject.client(), topic: subject.topic() };
            let labels = c2.call(async |c2| c2.get_labels(request).await)?.labels;
            if json {
                let labels = labels.into_iter().map(|label| (label.name, json!(label.value)));
                return output::json(&labels.collect::<Map<_, _>>().into());
            }
            labels.iter().try_for_each(|label| {
                output::line(&format!("{}={}", shown(&label.name), shown(&label.value)))
            })
        }
    }
}
