// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The automation interface of earlier servers, over rotation policies. A rule is a policy: what a
//! rule cannot say (labels, time zones, how a run goes) stays when the rule is changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::calls;
use super::convert::timestamp;
use super::gate::{Admitted, blocking};
use super::pb;
use crate::domain::{
    Caller, Error, Page, Policy, PolicySpec, Result, Selector, Target, Trigger, What,
};
use crate::reconcile::Figures;
use crate::service::Service;

/// The zone of its cron expressions.
const UTC: &str = "UTC";
const JOINED: &str = "CLIENT_SUBSCRIBED";
const LEFT: &str = "CLIENT_UNSUBSCRIBED";

/// The calls.
pub struct Automation {
    service: Service,
    figures: Arc<Figures>,
}

/// What a trigger by time says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    expr: String,
}

/// What a trigger by events says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Occurrences {
    event_type: String,
    max_occurrence: i64,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl Automation {
    /// The calls over a service.
    pub fn new(service: Service, figures: Arc<Figures>) -> Self {
        Self { service, figures }
    }

    async fn act<Q: Send + 'static, R: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Service, &Caller, Q) -> Result<R> + Send + 'static,
    ) -> Answer<R> {
        let admitted = request.extensions().get::<Admitted>().cloned();
        let admitted = admitted.ok_or_else(|| Status::unauthenticated("nobody was let in"))?;
        let (service, message) = (self.service.clone(), request.into_inner());
        blocking(move || work(&service, &admitted.caller, message)).await.map(Response::new)
    }
}

#[tonic::async_trait]
impl pb::c2_automation_engine_server::C2AutomationEngine for Automation {
    async fn list_rules(
        &self,
        request: Request<pb::ListRulesRequest>,
    ) -> Answer<pb::ListRulesResponse> {
        self.act(request, |service, _, _| {
            let mut rules: Vec<pb::Rule> = all(service)?.into_iter().map(rule).collect();
            rules.sort_by_key(|rule| rule.id);
            Ok(pb::ListRulesResponse { rules })
        })
        .await
    }

    async fn get_rule(&self, request: Request<pb::GetRuleRequest>) -> Answer<pb::GetRuleResponse> {
        self.act(request, |service, _, message| {
            Ok(pb::GetRuleResponse { rule: Some(rule(find(service, message.rule_id)?)) })
        })
        .await
    }

    async fn add_rule(&self, request: Request<pb::AddRuleRequest>) -> Answer<pb::AddRuleResponse> {
        self.act(request, |service, caller, message| {
            let wanted = message.rule.unwrap_or_default();
            let spec = spec(wanted, None)?;
            // A rule has no name.
            let random = e4::ClientId::random().map_err(Error::Message)?.to_string();
            let name = format!("rule-{}", random.get(..8).unwrap_or_default());
            let policy = service.create_policy(caller, &name, &spec)?;
            Ok(pb::AddRuleResponse { rule: Some(rule(policy)) })
        })
        .await
    }

    async fn update_rule(
        &self,
        request: Request<pb::UpdateRuleRequest>,
    ) -> Answer<pb::UpdateRuleResponse> {
        self.act(request, |service, caller, message| {
            let wanted = message.rule.unwrap_or_default();
            let policy = find(service, wanted.id)?;
            let spec = spec(wanted, Some(&policy.spec))?;
            let policy = service.update_policy(caller, &policy.name, &spec)?;
            Ok(pb::UpdateRuleResponse { rule: Some(rule(policy)) })
        })
        .await
    }

    async fn delete_rule(
        &self,
        request: Request<pb::DeleteRuleRequest>,
    ) -> Answer<pb::DeleteRuleResponse> {
        self.act(request, |service, caller, message| {
            let policy = find(service, message.rule_id)?;
            service.delete_policy(caller, &policy.name)?;
            Ok(pb::DeleteRuleResponse {})
        })
        .await
    }

    async fn health_check(
        &self,
        request: Request<pb::AutomationHealthCheckRequest>,
    ) -> Answer<pb::AutomationHealthCheckResponse> {
        let figures = self.figures.clone();
        self.act(request, move |service, _, _| {
            let (code, status) = match calls::health(service, &figures) {
                Ok(()) => (0, "OK".to_string()),
                Err(why) => (1, why.to_string()),
            };
            Ok(pb::AutomationHealthCheckResponse { code, status })
        })
        .await
    }
}

fn all(service: &Service) -> Result<Vec<Policy>> {
    let mut policies: Vec<Policy> = Vec::new();
    loop {
        let after = policies.last().map(|last| last.name.clone());
        let page = service.policies(&Page { after, offset: 0, limit: Page::MAX })?;
        if page.is_empty() {
            return Ok(policies);
        }
        policies.extend(page);
    }
}

fn find(service: &Service, id: i32) -> Result<Policy> {
    let found = all(service)?.into_iter().find(|policy| policy.number == i64::from(id));
    found.ok_or_else(|| Error::NotFound { what: What::Policy, name: id.to_string() })
}

/// A policy, as far as a rule can say it.
fn rule(policy: Policy) -> pb::Rule {
    let triggers = policy.spec.triggers.iter().filter_map(|trigger| {
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        let of = |event: &str, count: i64| {
            let settings = Occurrences { event_type: event.into(), max_occurrence: count };
            (pb::TriggerType::Event, json(serde_json::to_vec(&settings)))
        };
        Some(match trigger {
            Trigger::Cron { expression, .. } => {
                let settings = Interval { expr: expression.clone() };
                (pb::TriggerType::TimeInterval, json(serde_json::to_vec(&settings)))
            }
            Trigger::Joins(count) => of(JOINED, *count),
            Trigger::Leaves(count) => of(LEFT, *count),
            Trigger::Once => return None,
        })
    });
    let triggers = (1..).zip(triggers).map(|(id, (kind, settings))| pb::Trigger {
        id,
        r#type: kind.into(),
        settings,
    });
    let targets = policy.spec.targets.iter().map(|target| {
        let (kind, selector) = match target {
            Target::Topics(selector) => (pb::TargetType::Topic, selector),
            Target::Clients(selector) => (pb::TargetType::Client, selector),
        };
        let expr = match selector {
            Selector::Any => String::new(),
            Selector::Name(text) | Selector::Wildcard(text) => text.clone(),
            Selector::Label { name, value } => format!("{name}={value}"),
        };
        (kind, expr)
    });
    let targets =
        (1..).zip(targets).map(|(id, (kind, expr))| pb::Target { id, r#type: kind.into(), expr });
    pb::Rule {
        // Old tools know no more.
        id: i32::try_from(policy.number).unwrap_or(i32::MAX),
        action: pb::ActionType::KeyRotation.into(),
        last_executed: policy.last_at.map(timestamp),
        triggers: triggers.collect(),
        targets: targets.collect(),
        description: policy.spec.description,
    }
}

/// What a rule says; what it cannot say stays as it was.
fn spec(rule: pb::Rule, before: Option<&PolicySpec>) -> Result<PolicySpec> {
    if rule.action() != pb::ActionType::KeyRotation {
        return Err(Error::invalid("action", "has to be KEY_ROTATION"));
    }
    let pace = before.map(|before| before.pace.clone()).unwrap_or_default();
    let mut targets = Vec::new();
    for wanted in rule.targets {
        targets.extend(target(&wanted, before)?);
    }
    let triggers = rule.triggers.iter().map(|wanted| trigger(wanted, before));
    Ok(PolicySpec {
        description: rule.description,
        targets,
        triggers: triggers.collect::<Result<_>>()?,
        pace,
    })
}

fn target(wanted: &pb::Target, before: Option<&PolicySpec>) -> Result<Vec<Target>> {
    let expr = wanted.expr.trim();
    let selector = match expr {
        "" | "*" => Selector::Any,
        _ if expr.contains(['*', '?']) => Selector::Wildcard(expr.into()),
        _ => Selector::Name(expr.into()),
    };
    // A label that was shown as a text comes back as the label.
    let labels = before.iter().flat_map(|before| &before.targets);
    let mut label = labels.filter_map(|target| match target {
        Target::Topics(label @ Selector::Label { name, value })
        | Target::Clients(label @ Selector::Label { name, value })
            if format!("{name}={value}") == expr =>
        {
            Some(label.clone())
        }
        _ => None,
    });
    let selector = label.next_back().unwrap_or(selector);
    Ok(match wanted.r#type() {
        pb::TargetType::Topic => vec![Target::Topics(selector)],
        pb::TargetType::Client => vec![Target::Clients(selector)],
        pb::TargetType::Any => vec![Target::Topics(selector.clone()), Target::Clients(selector)],
    })
}

fn trigger(wanted: &pb::Trigger, before: Option<&PolicySpec>) -> Result<Trigger> {
    let wrong = |_| {
        let why = "is not {\"expr\": TEXT}, or {\"eventType\": NAME, \"maxOccurrence\": NUMBER}";
        Error::invalid("settings", why)
    };
    match wanted.r#type() {
        pb::TriggerType::TimeInterval => {
            let Interval { expr } = serde_json::from_slice(&wanted.settings).map_err(wrong)?;
            let known = before.iter().flat_map(|before| &before.triggers);
            let mut known = known.filter_map(|trigger| match trigger {
                Trigger::Cron { expression, zone } if *expression == expr => Some(zone.clone()),
                _ => None,
            });
            let zone = known.next_back().unwrap_or_else(|| UTC.into());
            Ok(Trigger::Cron { expression: five_fields(&expr)?, zone })
        }
        pb::TriggerType::Event => {
            let Occurrences { event_type, max_occurrence } =
                serde_json::from_slice(&wanted.settings).map_err(wrong)?;
            match event_type.as_str() {
                JOINED => Ok(Trigger::Joins(max_occurrence)),
                LEFT => Ok(Trigger::Leaves(max_occurrence)),
                _ => {
                    let why = format!("eventType is {JOINED} or {LEFT}");
                    Err(Error::invalid("settings", why))
                }
            }
        }
        pb::TriggerType::UndefinedTrigger => {
            Err(Error::invalid("type", "has to be TIME_INTERVAL or EVENT"))
        }
    }
}

/// An expression of earlier servers with five fields: their first may be seconds, and some have
/// names.
fn five_fields(expr: &str) -> Result<String> {
    let named = match expr.trim() {
        "@yearly" | "@annually" => Some("0 0 1 1 *"),
        "@monthly" => Some("0 0 1 * *"),
        "@weekly" => Some("0 0 * * 0"),
        "@daily" | "@midnight" => Some("0 0 * * *"),
        "@hourly" => Some("0 * * * *"),
        _ => None,
    };
    if let Some(named) = named {
        return Ok(named.into());
    }
    if expr.trim().starts_with('@') {
        let why = "is none of @yearly, @monthly, @weekly, @daily and @hourly; write five fields";
        return Err(Error::invalid("expr", why));
    }
    let fields: Vec<&str> = expr.split_whitespace().collect();
    match fields.as_slice() {
        [second, rest @ ..] if rest.len() == 5 => match second.parse::<u8>() {
            Ok(0..=59) => Ok(rest.join(" ")),
            _ => Err(Error::invalid("expr", "runs more than once a minute")),
        },
        fields => Ok(fields.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_earlier_servers() {
        assert_eq!(five_fields("0 3 1 * *").unwrap(), "0 3 1 * *");
        assert_eq!(five_fields(" 30 0 3 1 * * ").unwrap(), "0 3 1 * *");
        assert_eq!(five_fields("@daily").unwrap(), "0 0 * * *");
        for wrong in ["@every 5s", "* * * * * *", "*/5 * * * * *"] {
            assert!(five_fields(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_rule_cannot_say_stays() {
        let label = Selector::Label { name: "site".into(), value: "berlin".into() };
        let before = PolicySpec {
            description: "d".into(),
            targets: vec![Target::Clients(label), Target::Topics(Selector::Any)],
            triggers: vec![
                Trigger::Cron { expression: "0 3 * * *".into(), zone: "Europe/Zurich".into() },
                Trigger::Leaves(2),
            ],
            pace: crate::domain::Pace { canary: 3, ..crate::domain::Pace::default() },
        };
        let policy = Policy {
            number: 7,
            name: "n".into(),
            spec: before.clone(),
            paused: false,
            made_at: 0,
            next_at: None,
            last_at: Some(1000),
            runs: 1,
        };
        let shown = rule(policy);
        assert_eq!(shown.id, 7);
        assert_eq!(shown.triggers[0].settings, br#"{"expr":"0 3 * * *"}"#);
        assert_eq!(
            shown.triggers[1].settings,
            br#"{"eventType":"CLIENT_UNSUBSCRIBED","maxOccurrence":2}"#
        );
        assert_eq!(spec(shown, Some(&before)).unwrap(), before);
    }
}
