// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes to structures and back. No keys, no clock.

pub mod answer;
pub mod message;
pub mod topic;
