// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the calls for labels, rotations in two stages, policies and campaigns do.

use crate::api::convert::Change;
use crate::api::convert::{page, timestamp};
use crate::api::pb;
use crate::api::policies::{of_campaign, of_policy, spec};
use crate::domain::{
    Caller, CampaignItem, Error, ItemState, Labelled, Operation, Page, Receivers, Result, Selector,
};
use crate::service::{DEADLINE, Service};

/// The client or the topic.
fn labelled(client: String, topic: String) -> Result<Labelled> {
    match (client.is_empty(), topic.is_empty()) {
        (false, true) => Ok(Labelled::Client(client)),
        (true, false) => Ok(Labelled::Topic(topic)),
        _ => Err(Error::invalid("client", "give a client or a topic")),
    }
}

impl Change for pb::SetLabelRequest {
    fn operation(self) -> Result<Operation> {
        let of = labelled(self.client, self.topic)?;
        Ok(Operation::SetLabel { of, name: self.name, value: self.value })
    }
}

impl Change for pb::RemoveLabelRequest {
    fn operation(self) -> Result<Operation> {
        let of = labelled(self.client, self.topic)?;
        Ok(Operation::RemoveLabel { of, name: self.name })
    }
}

impl Change for pb::RotateTopicRequest {
    fn operation(self) -> Result<Operation> {
        let receivers = match (self.receivers.is_empty(), self.receivers_of) {
            (true, None) => Receivers::Known,
            (false, None) => Receivers::Names(self.receivers),
            (true, Some(selector)) => Receivers::Of(Selector::try_from(selector)?),
            (false, Some(_)) => {
                return Err(Error::invalid("receivers", "are names or a selector, not both"));
            }
        };
        let deadline = match self.deadline {
            0 => DEADLINE,
            given => u32::try_from(given)
                .map_err(|_| Error::invalid("deadline", "is below 0, or too large"))?,
        };
        Ok(Operation::RotateTopic { topic: self.topic, receivers, deadline })
    }
}

pub fn labels(service: &Service, message: pb::GetLabelsRequest) -> Result<pb::GetLabelsResponse> {
    let labels = service.labels(&labelled(message.client, message.topic)?)?;
    let labels = labels.into_iter().map(|(name, value)| pb::Label { name, value }).collect();
    Ok(pb::GetLabelsResponse { labels })
}

pub fn rotation_plan(
    service: &Service,
    message: pb::GetRotationPlanRequest,
) -> Result<pb::RotationPlan> {
    let plan = service.rotation_plan(&message.topic)?;
    Ok(pb::RotationPlan {
        topic: plan.topic,
        epoch: plan.epoch,
        members: plan.members,
        awake: plan.awake,
        asleep: plan.asleep,
        asleep_names: plan.asleep_names,
        silent: plan.silent,
        expected_seconds: plan.expected_seconds,
        under_way_until: plan.under_way_until.map(timestamp),
        receivers: plan.receivers,
    })
}

pub fn create(
    service: &Service,
    caller: &Caller,
    message: pb::CreatePolicyRequest,
) -> Result<pb::Policy> {
    service.create_policy(caller, &message.name, &spec(message.spec)?).map(of_policy)
}

pub fn update(
    service: &Service,
    caller: &Caller,
    message: pb::UpdatePolicyRequest,
) -> Result<pb::Policy> {
    service.update_policy(caller, &message.name, &spec(message.spec)?).map(of_policy)
}

pub fn list(
    service: &Service,
    message: pb::ListPoliciesRequest,
) -> Result<pb::ListPoliciesResponse> {
    let policies = service.policies(&page(0, message.count, message.after)?)?;
    Ok(pb::ListPoliciesResponse { policies: policies.into_iter().map(of_policy).collect() })
}

pub fn run(
    service: &Service,
    caller: &Caller,
    message: pb::RunPolicyRequest,
) -> Result<pb::RunPolicyResponse> {
    if !message.dry_run {
        let campaign = Some(of_campaign(service.run_policy(caller, &message.name)?));
        return Ok(pb::RunPolicyResponse { campaign, plan: None });
    }
    let plan = service.plan_policy(&message.name)?;
    let plan = pb::PolicyPlan {
        topics: plan.topics,
        clients: plan.clients,
        names: plan.names,
        seconds: plan.seconds,
    };
    Ok(pb::RunPolicyResponse { campaign: None, plan: Some(plan) })
}

/// How many, of which 100 at most are given.
fn limit(count: i64) -> Result<i64> {
    page(0, count, String::new()).map(|page: Page| page.limit)
}

pub fn campaigns(
    service: &Service,
    message: pb::ListCampaignsRequest,
) -> Result<pb::ListCampaignsResponse> {
    if message.before < 0 {
        return Err(Error::invalid("before", "is below 0"));
    }
    let policy = (!message.policy.is_empty()).then_some(message.policy.as_str());
    let before = (message.before > 0).then_some(message.before);
    let campaigns = service.campaigns(policy, before, limit(message.count)?)?;
    let campaigns = campaigns.into_iter().map(of_campaign).collect();
    Ok(pb::ListCampaignsResponse { campaigns })
}

pub fn items(
    service: &Service,
    message: pb::ListCampaignItemsRequest,
) -> Result<pb::ListCampaignItemsResponse> {
    if message.after < 0 {
        return Err(Error::invalid("after", "is below 0"));
    }
    let state = match pb::CampaignItemState::try_from(message.state) {
        Ok(pb::CampaignItemState::ItemUndefined) => None,
        Ok(pb::CampaignItemState::ItemWaiting) => Some(ItemState::Waiting),
        Ok(pb::CampaignItemState::ItemRotated) => Some(ItemState::Rotated),
        Ok(pb::CampaignItemState::ItemConfirmed) => Some(ItemState::Confirmed),
        Ok(pb::CampaignItemState::ItemFailed) => Some(ItemState::Failed),
        Ok(pb::CampaignItemState::ItemGone) => Some(ItemState::Gone),
        Err(_) => return Err(Error::invalid("state", "is none")),
    };
    let limit = limit(message.count)?;
    let items = service.campaign_items(message.number, state, message.after, limit)?;
    Ok(pb::ListCampaignItemsResponse { items: items.into_iter().map(item).collect() })
}

fn item(item: CampaignItem) -> pb::CampaignItem {
    let (client, topic) = match item.topic {
        true => (String::new(), item.name),
        false => (item.name, String::new()),
    };
    let state = match item.state {
        ItemState::Waiting => pb::CampaignItemState::ItemWaiting,
        ItemState::Rotated => pb::CampaignItemState::ItemRotated,
        ItemState::Confirmed => pb::CampaignItemState::ItemConfirmed,
        ItemState::Failed => pb::CampaignItemState::ItemFailed,
        ItemState::Gone => pb::CampaignItemState::ItemGone,
    };
    pb::CampaignItem {
        position: item.position,
        client,
        topic,
        canary: item.canary,
        state: state.into(),
        epoch: item.epoch,
        rotated_at: item.begun_at.map(timestamp),
        ended_at: item.ended_at.map(timestamp),
        why: item.why.unwrap_or_default(),
    }
}
