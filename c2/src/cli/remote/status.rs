// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 status`: what is wanted, and how far that has come.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use e4_c2::api::pb;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::Common;
use super::output::{self, Progress, time};
use super::server::Server;

/// Show what is wanted, and how far that has come
///
/// queued: the broker has not taken it yet. handed: the broker took it; for a client that never
/// answers this is the best state. failed: the client refused it. confirmed: the client says that
/// it holds it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 status                                  # the whole fleet
  e4 status --client pump-1
  e4 status --topic plant/pressure --wait    # until all its clients confirmed the key
  e4 status --operation 42 --wait=handed --timeout 60")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Of one client
    #[arg(long, value_name = "NAME", group = "of")]
    client: Option<String>,
    /// Of one topic
    #[arg(long, value_name = "TOPIC", group = "of")]
    topic: Option<String>,
    /// Of one change, by the number that was printed with it
    #[arg(long, value_name = "NUMBER", group = "of")]
    operation: Option<i64>,
    /// Wait until everything is confirmed, or in the hands of the broker
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true,
          default_missing_value = "confirmed", value_name = "STATE")]
    wait: Option<Goal>,
    /// Wait no longer than so many seconds [default: no limit]
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// The broker took it
    Handed,
    /// The client says that it holds it
    Confirmed,
}

/// Shows, after waiting if that is wanted.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.common.connect()?;
    if let Some(goal) = arguments.wait {
        arguments.wait(&server, goal)?;
    }
    let json = arguments.common.json;
    match (&arguments.client, &arguments.topic, arguments.operation) {
        (Some(name), _, _) => client(&server, name, json),
        (_, Some(name), _) => topic(&server, name, json),
        (_, _, Some(number)) => operation(&server, number, json),
        _ => fleet(&server, json),
    }
}

impl Arguments {
    fn counts(&self, server: &Server) -> Result<pb::Counts, Failure> {
        Ok(match (&self.client, &self.topic, self.operation) {
            (Some(name), _, _) => {
                let mut counts = pb::Counts::default();
                for delivery in get_client(server, name)?.deliveries {
                    match delivery.state() {
                        pb::State::Queued | pb::State::Undefined => counts.queued += 1,
                        pb::State::Handed => counts.handed += 1,
                        pb::State::Failed => counts.failed += 1,
                        pb::State::Confirmed => counts.confirmed += 1,
                    }
                }
                counts
            }
            (_, Some(name), _) => get_topic(server, name)?.clients.unwrap_or_default(),
            (_, _, Some(number)) => get_operation(server, number)?.clients.unwrap_or_default(),
            _ => statistics(server)?.deliveries.unwrap_or_default(),
        })
    }

    fn wait(&self, server: &Server, goal: Goal) -> Result<(), Failure> {
        let start = Instant::now();
        let progress = Progress::new();
        let mut refused = 0;
        loop {
            let counts = self.counts(server)?;
            let open = match goal {
                Goal::Handed => counts.queued,
                Goal::Confirmed => counts.queued + counts.handed,
            };
            if open == 0 && counts.failed == 0 {
                return Ok(());
            }
            // Refused ones are tried again; some time they are what remains.
            refused = if open == 0 { refused + 1 } else { 0 };
            if refused > 10 {
                return Err(Failure::new(format!("refused by clients: {}", counts.failed))
                    .hint("e4 client list --troubled, and e4 client show NAME says why"));
            }
            let limit = self.timeout.map(Duration::from_secs);
            if limit.is_some_and(|limit| start.elapsed() >= limit) {
                return Err(Failure::new(format!(
                    "not there after {} s: {}",
                    start.elapsed().as_secs(),
                    line(&counts)
                ))
                .hint("a client that never answers stays at handed: --wait=handed"));
            }
            progress.show(&line(&counts));
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// Numbers of everything.
fn fleet(server: &Server, json: bool) -> Result<(), Failure> {
    let all = statistics(server)?;
    let deliveries = all.deliveries.unwrap_or_default();
    if json {
        return output::json(&json!({
            "clients": all.clients,
            "answeringClients": all.answering_clients,
            "dueClients": all.due_clients,
            "troubledClients": all.troubled_clients,
            "topics": all.topics,
            "memberships": all.memberships,
            "deliveries": counts(&deliveries),
            "commandsSent": all.commands_sent,
            "commandsHanded": all.commands_handed,
            "answersHeard": all.answers_heard,
            "brokerConnected": all.broker_connected,
            "auditRecords": all.audit_records,
        }));
    }
    let broker = if all.broker_connected { "connected" } else { "NOT CONNECTED" };
    let mut rows = vec![
        row(
            "clients",
            format!("{}, of which {} ever answered", all.clients, all.answering_clients),
        ),
        row("topics", format!("{}, memberships {}", all.topics, all.memberships)),
        row("keys", line(&deliveries)),
        row("to be sent", format!("to {} clients", all.due_clients)),
        row("broker", broker.into()),
    ];
    if all.troubled_clients > 0 {
        let text = format!("{} clients, see e4 client list --troubled", all.troubled_clients);
        rows.push(row("in trouble", text));
    }
    output::table(&[], &rows)
}

/// Everything that a client should hold.
pub fn client(server: &Server, name: &str, json: bool) -> Result<(), Failure> {
    let state = get_client(server, name)?;
    if json {
        let deliveries = state.deliveries.iter().map(|one| {
            json!({
                "what": one.what,
                "name": one.name,
                "epoch": one.epoch,
                "state": word(one.state()),
                "attempts": one.attempts,
                "changedAt": time(one.changed_at.as_ref()),
                "error": some(&one.error),
            })
        });
        return output::json(&json!({
            "client": state.client.map(|client| client.name),
            "id": state.id,
            "answers": state.answers,
            "seenAt": time(state.seen_at.as_ref()),
            "dueAt": time(state.due_at.as_ref()),
            "trouble": some(&state.trouble),
            "deliveries": deliveries.collect::<Vec<Value>>(),
        }));
    }
    let seen = match (state.answers, time(state.seen_at.as_ref())) {
        (true, Some(at)) => at,
        (true, None) => "yes".into(),
        (false, _) => "never".into(),
    };
    let mut rows = vec![row("client", name.into()), row("id", state.id), row("last answer", seen)];
    rows.extend(time(state.due_at.as_ref()).map(|at| row("sent again", at)));
    rows.extend(some(&state.trouble).map(|trouble| row("trouble", trouble.into())));
    output::table(&[], &rows)?;
    if state.deliveries.is_empty() {
        return Ok(());
    }
    let rows = state.deliveries.iter().map(|one| {
        vec![
            one.what.clone(),
            one.name.clone(),
            word(one.state()).into(),
            one.epoch.to_string(),
            one.attempts.to_string(),
            time(one.changed_at.as_ref()).unwrap_or_default(),
            one.error.clone(),
        ]
    });
    output::line("")?;
    let head = ["WHAT", "NAME", "STATE", "EPOCH", "SENT", "SINCE", "ERROR"];
    // Most have none.
    let errors = state.deliveries.iter().any(|one| !one.error.is_empty());
    let head = if errors { &head[..] } else { head.split_last().map_or(&[][..], |(_, head)| head) };
    output::table(head, &rows.collect::<Vec<_>>())
}

/// How far the key of a topic has come.
pub fn topic(server: &Server, name: &str, json: bool) -> Result<(), Failure> {
    let state = get_topic(server, name)?;
    let clients = state.clients.unwrap_or_default();
    match json {
        true => output::json(&json!({
            "topic": state.topic,
            "epoch": state.epoch,
            "clients": counts(&clients),
        })),
        false => output::table(
            &[],
            &[
                row("topic", state.topic),
                row("key", format!("number {}", state.epoch)),
                row("clients", line(&clients)),
            ],
        ),
    }
}

fn operation(server: &Server, number: i64, json: bool) -> Result<(), Failure> {
    let state = get_operation(server, number)?;
    let at = time(state.at.as_ref());
    match (json, &state.clients) {
        (true, clients) => output::json(&json!({
            "operation": state.number,
            "at": at,
            "actor": state.actor,
            "action": state.action,
            "detail": serde_json::from_str(&state.detail).unwrap_or(Value::Null),
            "clients": clients.as_ref().map(counts),
        })),
        (false, clients) => output::table(
            &[],
            &[
                row("operation", state.number.to_string()),
                row("action", format!("{} {}", state.action, state.detail)),
                row("by", state.actor),
                row("at", at.unwrap_or_default()),
                row("clients", clients.as_ref().map_or("none is told".into(), line)),
            ],
        ),
    }
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.into(), value]
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn line(counts: &pb::Counts) -> String {
    let pb::Counts { queued, handed, failed, confirmed } = counts;
    format!("{queued} queued, {handed} handed, {failed} failed, {confirmed} confirmed")
}

fn counts(counts: &pb::Counts) -> Value {
    json!({
        "queued": counts.queued,
        "handed": counts.handed,
        "failed": counts.failed,
        "confirmed": counts.confirmed,
    })
}

fn word(state: pb::State) -> &'static str {
    match state {
        pb::State::Undefined => "unknown",
        pb::State::Queued => "queued",
        pb::State::Handed => "handed",
        pb::State::Failed => "failed",
        pb::State::Confirmed => "confirmed",
    }
}

fn get_client(server: &Server, name: &str) -> Result<pb::ClientState, Failure> {
    let request = pb::GetClientStateRequest { client: Some(pb::Client { name: name.into() }) };
    server.call(async |c2| c2.get_client_state(request).await)
}

fn get_topic(server: &Server, name: &str) -> Result<pb::TopicState, Failure> {
    let request = pb::GetTopicStateRequest { topic: name.into() };
    server.call(async |c2| c2.get_topic_state(request).await)
}

fn get_operation(server: &Server, number: i64) -> Result<pb::Operation, Failure> {
    let request = pb::GetOperationRequest { number };
    let found = server.call(async |c2| c2.get_operation(request).await);
    found.map_err(|failure| failure.or_hint("a change prints its number; see e4 events"))
}

/// Numbers of everything.
pub fn statistics(server: &Server) -> Result<pb::Statistics, Failure> {
    server.call(async |c2| c2.get_statistics(pb::GetStatisticsRequest {}).await)
}
