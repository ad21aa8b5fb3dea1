//! The ledger's contract, on its twin in memory and on Postgres, side by side.

use anyhow::{Context, bail};
use tests::Outcome;
use tests::contract::ledger::memory::on_memory;
use tests::contract::ledger::postgres::on_postgres;
use tests::contract::ledger::{self, Stage, random, side_by_side, told};

/// A test of each case, on both sides.
macro_rules! cases {
    ($($room:ident { $($case:ident)+ })+) => {
        $(mod $room {
            use super::*;
            $(#[test]
            fn $case() -> Outcome {
                use ledger::$room::$case;
                side_by_side(
                    told(|| on_memory(async |stage| $case(stage).await)),
                    told(|| on_postgres(async |stage| $case(stage).await)),
                )
            })+
        })+
    };
}

cases! {
    claims {
        are_fair_and_oldest_first
        never_give_the_same_deployment_twice
        begin_a_deployment
        take_what_was_abandoned_first
        take_over_where_the_other_stopped
        fence_the_old_one_off
        are_renewed_until_they_are_taken
        leave_an_app_alone_that_is_driven
        are_handed_over
        take_the_older_of_two_that_end_together
    }
    steps {
        outside_the_machine_are_refused
        from_another_status_are_not_made
        are_told
        stamp_moments
        do_not_end_it_without_a_reason
        end_once
        resolve_an_image_once
    }
    superseding {
        ends_the_queued_one
        asks_the_driving_one
        leaves_one_queued_behind_the_driving_one
        wakes_the_next_one_with_the_end
        keeps_the_restart_counter_growing
        ends_with_the_newer_ones_cancel
        leaves_what_is_half_done_to_the_newer_one
    }
    repairs {
        bring_back_what_is_live
        leave_what_is_under_way_alone
        wait_for_each_other
        give_way_and_are_not_withdrawn
    }
    ends {
        a_deploy_that_succeeds_is_live_and_stable
        no_replicas_make_no_release_stable
        a_deploy_that_is_rolled_back_leaves_the_old_one_live
        an_end_that_knows_nothing_live_changes_nothing
        only_success_makes_stable
        a_scale_that_succeeds_stays
        a_scale_that_is_rolled_back_is_not_tried_again
        a_stop_or_start_counts_when_it_succeeds
        a_newer_wish_outlives_a_scale_that_is_rolled_back
        a_removal_that_succeeds_ends_the_app
        a_removal_that_fails_gives_the_app_back
        steps_on_the_way_change_no_app
    }
    targets {
        a_deploy_freezes_the_app
        the_previous_release_is_the_one_live_before
        a_rollback_by_number_asks_for_one_that_ran
        a_scale_keeps_the_release_that_is_coming
        a_removal_takes_the_running_release
    }
    accepting {
        refused_changes_nothing
        refused_while_the_app_is_being_removed
        apps_are_checked
    }
}

/// Histories of each seed, and operations in each.
const SEEDS: u64 = 40;
const OPERATIONS: usize = 30;

/// What each seed's history looks like on this stage.
async fn play(stage: &impl Stage) -> anyhow::Result<Vec<Vec<String>>> {
    let mut histories = Vec::new();
    for seed in 0..SEEDS {
        let history = random::play(stage, seed, OPERATIONS).await;
        histories.push(history.with_context(|| format!("seed {seed}"))?);
    }
    Ok(histories)
}

#[test]
fn random_histories_look_the_same_in_memory_and_in_postgres() -> Outcome {
    let (mut memory, mut postgres) = (Vec::new(), Vec::new());
    on_memory(async |stage| play(stage).await.map(|told| memory = told)).context("memory")?;
    on_postgres(async |stage| play(stage).await.map(|told| postgres = told)).context("postgres")?;
    for (seed, (memory, postgres)) in memory.iter().zip(&postgres).enumerate() {
        let differs = memory.iter().zip(postgres).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let before: Vec<_> =
                memory[..at].iter().filter_map(|told| told.lines().next()).collect();
            bail!(
                "seed {seed}, operation {at}, after\n{}\n\nmemory: {}\npostgres: {}",
                before.join("\n"),
                memory[at],
                postgres[at]
            );
        }
    }
    assert_eq!((memory.len(), postgres.len()), (SEEDS as usize, SEEDS as usize));
    Ok(())
}
