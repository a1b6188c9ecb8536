// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 campaign …`

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::Common;
use super::output::{self, confirm, shown, time};
use super::server::Server;

/// The most that C2 gives at once.
const PAGE: i64 = 100;
/// Keys of which `show` says what became of them.
const SHOWN: usize = 20;

/// Watch the runs of policies; have them wait, go on, end
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 campaign list
  e4 campaign show 7
  e4 campaign resume 7")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// List them, the newest first
    #[command(after_help = "Example:\n  e4 campaign list --policy monthly --limit 5")]
    List {
        /// Of this policy alone
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
    /// Show how far one has come, and what failed
    #[command(after_help = "Example:\n  e4 campaign show 7 --items --json")]
    Show {
        number: i64,
        /// Every key, in place of those that failed
        #[arg(long)]
        items: bool,
    },
    /// Have one wait
    #[command(after_help = "Example:\n  e4 campaign pause 7")]
    Pause { number: i64 },
    /// Have one go on; what failed until now does not count any more
    #[command(after_help = "Example:\n  e4 campaign resume 7")]
    Resume { number: i64 },
    /// End one: what has not had its turn keeps its key
    #[command(after_help = "Example:\n  e4 campaign cancel 7 --yes")]
    Cancel {
        number: i64,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.common.json;
    if let Task::Cancel { number, yes: false } = arguments.task {
        confirm(&format!("End campaign {number}?"), "--yes")?;
    }
    let server = arguments.common.connect()?;
    match &arguments.task {
        Task::List { policy, limit } => {
            let campaigns = list(&server, policy.as_deref().unwrap_or_default(), *limit)?;
            if json {
                return output::json(&campaigns.iter().map(object).collect());
            }
            let rows: Vec<Vec<String>> = campaigns.iter().map(row).collect();
            let head = ["NUMBER", "POLICY", "STATE", "CONFIRMED", "FAILED", "BEGUN", "ENDED"];
            output::table(&head, &rows)
        }
        Task::Show { number, items } => {
            let request = pb::GetCampaignRequest { number: *number };
            let campaign = server.call(async |c2| c2.get_campaign(request).await)?;
            show(&server, &campaign, *items, json)
        }
        Task::Pause { number } => {
            let request = pb::PauseCampaignRequest { number: *number };
            print(&server.call(async |c2| c2.pause_campaign(request).await)?, json)
        }
        Task::Resume { number } => {
            let request = pb::ResumeCampaignRequest { number: *number };
            print(&server.call(async |c2| c2.resume_campaign(request).await)?, json)
        }
        Task::Cancel { number, .. } => {
            let request = pb::CancelCampaignRequest { number: *number };
            print(&server.call(async |c2| c2.cancel_campaign(request).await)?, json)
        }
    }
}

fn list(server: &Server, policy: &str, limit: usize) -> Result<Vec<pb::Campaign>, Failure> {
    let mut all: Vec<pb::Campaign> = Vec::new();
    while all.len() < limit {
        let count = i64::try_from(limit - all.len()).map_or(PAGE, |left| left.min(PAGE));
        let before = all.last().map_or(0, |last| last.number);
        let request = pb::ListCampaignsRequest { policy: policy.into(), before, count };
        let page = server.call(async |c2| c2.list_campaigns(request).await)?.campaigns;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    Ok(all)
}

fn items(
    server: &Server,
    number: i64,
    state: pb::CampaignItemState,
    limit: usize,
) -> Result<Vec<pb::CampaignItem>, Failure> {
    let mut all: Vec<pb::CampaignItem> = Vec::new();
    while all.len() < limit {
        let count = i64::try_from(limit - all.len()).map_or(PAGE, |left| left.min(PAGE));
        let after = all.last().map_or(0, |last| last.position);
        let request = pb::ListCampaignItemsRequest { number, state: state.into(), after, count };
        let page = server.call(async |c2| c2.list_campaign_items(request).await)?.items;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    Ok(all)
}

/// One line on a campaign.
pub fn print(campaign: &pb::Campaign, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&object(campaign));
    }
    let why = match campaign.why.as_str() {
        "" => String::new(),
        why => format!(": {}", shown(why)),
    };
    output::line(&format!(
        "campaign {} of {} {}{why}",
        campaign.number,
        shown(&campaign.policy),
        word(campaign.state())
    ))
}

fn show(server: &Server, campaign: &pb::Campaign, all: bool, json: bool) -> Result<(), Failure> {
    let (state, limit) = match (all, json) {
        (true, _) => (pb::CampaignItemState::ItemUndefined, usize::MAX),
        (false, true) => (pb::CampaignItemState::ItemFailed, usize::MAX),
        (false, false) => (pb::CampaignItemState::ItemFailed, SHOWN),
    };
    let found = items(server, campaign.number, state, limit)?;
    if json {
        let mut value = object(campaign);
        if let Some(value) = value.as_object_mut() {
            let what = if all { "items" } else { "failedItems" };
            value.insert(what.into(), found.iter().map(item).collect());
        }
        return output::json(&value);
    }
    print(campaign, false)?;
    let pb::Campaign { total, waiting, rotated, confirmed, failed, gone, .. } = campaign;
    let line = |name: &str, text: String| output::line(&format!("{name:<10}{text}"));
    line("keys", total.to_string())?;
    line("waiting", waiting.to_string())?;
    line("sent", rotated.to_string())?;
    line("confirmed", confirmed.to_string())?;
    line("failed", failed.to_string())?;
    if *gone > 0 {
        line("gone", gone.to_string())?;
    }
    line("begun", time(campaign.created_at.as_ref()).unwrap_or_default())?;
    for (name, at) in [("goes on", &campaign.next_at), ("ended", &campaign.ended_at)] {
        if let Some(at) = time(at.as_ref()) {
            line(name, at)?;
        }
    }
    if !found.is_empty() {
        output::line("")?;
        let rows: Vec<Vec<String>> = found.iter().map(item_row).collect();
        output::table(&["KEY OF", "STATE", "SENT", "WHY"], &rows)?;
    }
    if !all && usize::try_from(*failed).is_ok_and(|failed| failed > found.len()) {
        output::line("… more: e4 campaign show --items")?;
    }
    Ok(())
}

fn row(campaign: &pb::Campaign) -> Vec<String> {
    vec![
        campaign.number.to_string(),
        campaign.policy.clone(),
        word(campaign.state()).into(),
        format!("{} of {}", campaign.confirmed, campaign.total),
        campaign.failed.to_string(),
        time(campaign.created_at.as_ref()).unwrap_or_default(),
        time(campaign.ended_at.as_ref()).unwrap_or_default(),
    ]
}

fn item_row(item: &pb::CampaignItem) -> Vec<String> {
    vec![
        if item.client.is_empty() { item.topic.clone() } else { item.client.clone() },
        item_word(item.state()).into(),
        time(item.rotated_at.as_ref()).unwrap_or_default(),
        item.why.clone(),
    ]
}

fn object(campaign: &pb::Campaign) -> Value {
    json!({
        "number": campaign.number,
        "policy": campaign.policy,
        "state": word(campaign.state()),
        "why": campaign.why,
        "createdAt": time(campaign.created_at.as_ref()),
        "endedAt": time(campaign.ended_at.as_ref()),
        "nextAt": time(campaign.next_at.as_ref()),
        "total": campaign.total,
        "waiting": campaign.waiting,
        "rotated": campaign.rotated,
        "confirmed": campaign.confirmed,
        "failed": campaign.failed,
        "gone": campaign.gone,
    })
}

fn item(item: &pb::CampaignItem) -> Value {
    json!({
        "client": item.client,
        "topic": item.topic,
        "canary": item.canary,
        "state": item_word(item.state()),
        "epoch": item.epoch,
        "rotatedAt": time(item.rotated_at.as_ref()),
        "endedAt": time(item.ended_at.as_ref()),
        "why": item.why,
    })
}

fn word(state: pb::CampaignState) -> &'static str {
    match state {
        pb::CampaignState::CampaignUndefined => "unknown",
        pb::CampaignState::Running => "running",
        pb::CampaignState::Paused => "paused",
        pb::CampaignState::Stopped => "stopped",
        pb::CampaignState::Finished => "finished",
        pb::CampaignState::Cancelled => "cancelled",
    }
}

fn item_word(state: pb::CampaignItemState) -> &'static str {
    match state {
        pb::CampaignItemState::ItemUndefined => "unknown",
        pb::CampaignItemState::ItemWaiting => "waiting",
        pb::CampaignItemState::ItemRotated => "sent",
        pb::CampaignItemState::ItemConfirmed => "confirmed",
        pb::CampaignItemState::ItemFailed => "failed",
        pb::CampaignItemState::ItemGone => "gone",
    }
}
