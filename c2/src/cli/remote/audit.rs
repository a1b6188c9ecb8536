// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 audit …` through C2's interface.

use e4_c2::api::pb;
use e4_c2::domain::AuditRecord;

use super::super::failure::Failure;
use super::Common;

/// The most that C2 gives at once.
const PAGE: i64 = 1000;

/// Records after a number, at most so many, each as it comes.
pub fn list(
    common: &Common,
    mut after: i64,
    limit: i64,
    show: impl Fn(&AuditRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let server = common.connect()?;
    let mut left = limit;
    while left > 0 {
        let request = pb::ListAuditRequest { after, count: left.min(PAGE) };
        let records = server.call(async |c2| c2.list_audit(request).await)?.records;
        let Some(last) = records.last() else { break };
        after = last.number;
        left -= i64::try_from(records.len()).unwrap_or(left);
        records.into_iter().try_for_each(|record| show(&plain(record)))?;
    }
    Ok(())
}

fn plain(record: pb::AuditRecord) -> AuditRecord {
    let at = record.at.unwrap_or_default();
    AuditRecord {
        seq: record.number,
        at: at.seconds * 1000 + i64::from(at.nanos / 1_000_000),
        actor: record.actor,
        origin: record.origin,
        action: record.action,
        detail: record.detail,
    }
}

/// Has the chain of records checked.
pub fn verify(common: &Common) -> Result<pb::VerifyAuditResponse, Failure> {
    let server = common.connect()?;
    server.call(async |c2| c2.verify_audit(pb::VerifyAuditRequest {}).await)
}
