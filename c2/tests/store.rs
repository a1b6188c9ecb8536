// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every database has to do: one suite, run on SQLite in a file, SQLite in memory and
//! PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

#[path = "store/batches.rs"]
mod batches;
#[path = "store/content.rs"]
mod content;
#[path = "store/guard.rs"]
mod guard;
#[path = "store/states.rs"]
mod states;
#[path = "store/together.rs"]
mod together;
#[path = "store/views.rs"]
mod views;

use common::postgres::server;
use e4_c2::store::{Database, Postgres, Sqlite};

/// Gives the same database each time.
type Open<'a> = &'a dyn Fn() -> Box<dyn Database>;

macro_rules! suite {
    ($backend:ident: $($module:ident: [$($name:ident),* $(,)?]),* $(,)?) => {
        mod $backend {
            $($(
                #[test]
                fn $name() {
                    super::$backend(&super::$module::$name);
                }
            )*)*
        }
    };
}

/// The tests for every database.
macro_rules! for_all {
    ($($backend:ident),*) => {
        $(suite!($backend:
            batches: [
                the_same_batch_again_changes_nothing,
                a_key_belongs_to_its_content_and_caller,
                every_refusal_comes_again,
                refusals_of_public_keys,
                a_key_is_known_for_a_day,
                results_of_a_batch_are_sealed,
                what_fails_is_not_kept,
                ten_thousand_clients_in_one_batch,
            ],
            states: [
                a_rotation_comes_along,
                a_membership_comes_along,
                own_keys_come_along,
                a_removed_topic_is_forgotten,
                a_reset_comes_along,
                who_is_not_told_does_not_count,
                numbers_over_everything,
                pages_of_records_are_capped,
                numbers_over_a_large_fleet,
            ],
            content: [
                clients_come_are_replaced_and_go,
                topics_come_are_rotated_and_go,
                memberships,
                links_and_public_keys,
                lists_by_cursor_and_offset,
                longest_topics,
                names_that_nobody_has,
                removal_of_a_client_can_rotate_its_topics,
                a_reset_forgets_memberships,
                all_clients_of_a_change_are_told,
            ],
            guard: [
                keys_are_nowhere_in_the_open,
                another_passphrase_or_key_file_is_noticed,
                rekey,
                a_moved_or_altered_key_is_noticed,
                the_audit_chain,
                a_change_without_its_record_does_not_happen,
                a_batch_has_a_result_for_each,
                a_rotation_writes_as_much_for_ten_as_for_a_thousand,
                a_newer_schema_is_refused,
                a_panic_leaves_nothing,
                broken_connections,
                a_statement_that_failed_fails_the_whole,
            ],
            views: [
                a_client_comes_along,
                keys_of_its_own_count,
                lists_are_searched_sorted_and_leafed_through,
                topics_and_their_members,
                histories,
            ],
        );)*
    };
}
for_all!(file, memory, postgres);

/// The tests for databases that several processes may open.
macro_rules! for_shared {
    ($($backend:ident),*) => {
        mod shared {
            $(mod $backend {
                for_shared!(@ $backend: many_create_it_at_once, many_work_at_once,
                    who_calls_twice_at_once_gets_one_result,
                    who_waits_for_a_client_reads_it_anew, crossing_locks_end);
            })*
        }
    };
    (@ $backend:ident: $($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                crate::$backend(&crate::together::$name);
            }
        )*
    };
}
for_shared!(file, postgres);

fn file(test: &dyn Fn(Open)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c2.sqlite");
    test(&|| Box::new(Sqlite::file(&path).unwrap()));
}

fn memory(test: &dyn Fn(Open)) {
    let database = Sqlite::memory().unwrap();
    test(&|| Box::new(database.clone()));
}

fn postgres(test: &dyn Fn(Open)) {
    let Some(server) = server() else { return };
    let address = server.database();
    test(&|| Box::new(Postgres::new(&address, None, None).unwrap()));
}
