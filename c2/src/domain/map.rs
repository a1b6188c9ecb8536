// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which keys of a topic its clients hold, as a map of cells; and which audit records are looked
//! for.

use super::Millis;

/// What a client of a topic holds, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The newest key.
    Newest,
    /// The one before.
    Before,
    /// An older one.
    Older,
    /// None that it confirmed.
    None,
    /// It refused the newest.
    Failed,
}

impl Cell {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Newest, Self::Before, Self::Older, Self::None, Self::Failed];

    /// By the epoch of the topic, the one that the client confirmed, and its error.
    pub fn new(epoch: i64, confirmed: i64, failed: i64) -> Self {
        match () {
            () if confirmed >= epoch => Cell::Newest,
            () if failed != 0 => Cell::Failed,
            () if confirmed <= 0 => Cell::None,
            () if confirmed == epoch - 1 => Cell::Before,
            () => Cell::Older,
        }
    }
}

/// A client of a topic that does not hold its newest key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laggard {
    /// Name.
    pub name: String,
    /// What it holds.
    pub cell: Cell,
    /// The epoch of that.
    pub confirmed: i64,
    /// When anything happened to it.
    pub changed_at: Millis,
}

/// Which audit records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Text in the names and results, or in where the caller was, whatever the case; empty for all.
    pub text: String,
    /// Who; empty for all.
    pub actor: String,
    /// What; empty for all.
    pub action: String,
    /// Not before.
    pub from: Option<Millis>,
    /// Before.
    pub until: Option<Millis>,
}
