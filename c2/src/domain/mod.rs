// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clients, topics and what each client should hold. It knows the protocol and nothing of
//! databases, brokers or networks.

mod access;
mod clock;
mod error;
mod map;
mod operation;
mod policy;
mod provision;
mod record;
mod view;

pub use access::{Credentials, Grant, Permission, Role, Token};
pub use clock::{Clock, Millis, ShiftedClock, SystemClock};
pub use error::{Error, Result, What};
pub use map::{Cell, Laggard, Search};
pub use operation::{Batch, Caller, Credential, Labelled, Operation, Outcome, Receivers, Secret};
pub use policy::{
    Campaign, CampaignItem, CampaignState, ItemState, Pace, Policy, PolicyPlan, PolicySpec,
    RotationPlan, Selector, Target, Trigger, Window,
};
pub use provision::{BrokerAddress, FirstKeys, Provision};
pub use record::{
    AuditRecord, Behind, ClientRow, ClientState, Counts, Delivery, Holding, Kind, OperationState,
    Page, RESET_PEERS, RESET_TOPICS, State, Statistics, TopicRow, TopicState, UNKNOWN,
};
pub use view::{
    ASLEEP_TRIES, Device, DeviceDetail, Filter, Held, History, LinkView, Member, Outstanding,
    OwnKeys, Part, Place, Sorted, Standing, Standings, TopicStage, TopicView,
};
