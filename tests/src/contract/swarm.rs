//! What Skep relies on of Swarm, as cases that run on the real engine and on the simulated one.
//!
//! A case knows only the trait and its [`Stage`]. It waits for levels, and says nothing of how long
//! things take: the engine shares its machine. [`crate::swarm_contract`] makes a test of each case,
//! so that neither side can leave one out.

pub mod engine;
pub mod failures;
pub mod networks;
mod scene;
pub mod secrets;
pub mod services;
#[cfg(test)]
mod simulated;
pub mod tasks;
pub mod updates;

use std::future::Future;

use anyhow::Result;
use ipnet::Ipv4Net;
use orchestrator::swarm::Swarm;

/// Where the cases run.
pub trait Stage: Sync {
    /// The Swarm that is tried.
    type Swarm: Swarm;

    /// It.
    fn swarm(&self) -> &Self::Swarm;

    /// The value of the label `skep.platform` that everything of this case carries. Names of its
    /// objects start with it.
    fn platform(&self) -> String;

    /// A range of subnets that is this case's alone.
    fn subnets(&self) -> Ipv4Net;

    /// `docker service rollback` by somebody else. False: it was refused.
    fn roll_back(&self, service: &str) -> impl Future<Output = Result<bool>> + Send;
}

/// What an image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// Healthy after about a second.
    Good,
    /// Another one of that kind.
    Better,
    /// Its health check never says yes. Told to stop, it ends with code 0.
    Unhealthy,
    /// Healthy, and after 2 s it ends with code 1.
    Crashing,
    /// There is no such image.
    Missing,
}

impl Image {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "skep-demo:v1",
            Self::Better => "skep-demo:v2",
            Self::Unhealthy => "skep-demo:v3",
            Self::Crashing => "skep-demo:crash",
            Self::Missing => "skep-demo:none",
        }
    }
}

/// A test of each case. `$run` sets a stage and tells the case on it:
/// `fn(impl AsyncFnOnce(&S) -> Outcome) -> Outcome`.
#[macro_export]
macro_rules! swarm_contract {
    ($run:path) => {
        $crate::swarm_contract! { $run;
            services:
                a_new_service_runs_every_replica_and_has_no_update_status,
                a_name_is_taken_once,
                what_is_not_there_is_said_so,
                a_removed_service_leaves_its_name,
                scaling_down_to_zero_ends_every_task,
                a_spec_names_only_what_is_there,
                counts_are_of_this_platform;
            tasks:
                a_missing_image_is_rejected,
                a_crash_is_restarted_in_its_slot,
                an_unhealthy_task_ends_with_its_probes_last_word,
                without_a_health_check_a_task_runs_at_once,
                a_task_that_no_node_takes_waits_and_says_why,
                a_task_that_is_larger_than_every_node_waits_and_says_why,
                nodes_tell_what_is_reserved_on_them,
                a_task_that_is_replaced_while_it_waits_ends,
                a_finished_task_is_not_restarted_where_the_policy_says_so;
            updates:
                start_first_replaces_every_task_and_never_runs_fewer,
                stop_first_never_runs_more,
                a_stale_version_is_out_of_sequence,
                new_labels_change_no_task,
                more_replicas_change_no_task,
                another_policy_changes_no_task,
                what_somebody_changes_is_told_by_part_or_by_time,
                the_same_spec_again_changes_no_task_and_forgets_the_status,
                the_same_spec_again_leaves_a_rollout_going_without_its_status,
                new_labels_begin_a_rollout_anew,
                a_raised_restart_counter_replaces_tasks_of_the_same_spec;
            failures:
                a_crashing_update_is_rolled_back_with_its_labels,
                an_unhealthy_update_never_touches_what_runs,
                a_crashing_update_is_paused_where_the_policy_says_so,
                a_rollback_by_hand_brings_the_previous_spec_back,
                a_rollback_that_fails_is_paused,
                a_newer_update_takes_over_from_a_failing_one;
            networks:
                a_network_is_made_once_and_shows_its_subnet,
                an_overlapping_network_gets_no_subnet_and_its_tasks_no_address,
                a_task_that_is_replaced_while_it_waits_for_an_address_never_ends,
                a_network_in_use_stays,
                a_config_is_made_once;
            secrets:
                a_secret_is_made_once_and_listed,
                a_secret_in_use_stays;
        }
    };
    ($run:path; $($part:ident: $($case:ident),+;)+) => {
        $(mod $part {
            $(#[test]
            fn $case() -> $crate::Outcome {
                $run(async |stage| $crate::contract::swarm::$part::$case(stage).await)
            })+
        })+
    };
}
