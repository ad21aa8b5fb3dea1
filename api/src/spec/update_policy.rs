//! Update policies and deadlines. A preset fills in what is not said.

use model::update_policy::{FailureAction, Unstated, UpdateOrder};
use poem_openapi::{Enum, Object};
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::word::Word;

/// A named set of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "UpdatePreset", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    /// One task at a time, 10 s apart, each watched for 15 s.
    Safe,
    /// One task at a time without a pause, each watched for 5 s.
    Fast,
}

impl Preset {
    const fn values(self) -> model::update_policy::UpdatePolicy {
        match self {
            Self::Safe => model::update_policy::UpdatePolicy::SAFE,
            Self::Fast => model::update_policy::UpdatePolicy::FAST,
        }
    }
}

/// How tasks are replaced. Each field overrides the preset's.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Object, Serialize)]
pub(crate) struct UpdatePolicy {
    /// What fills in the fields that are not given; `safe` where it is not given itself. An answer
    /// names it where the values are exactly a preset's.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) preset: Option<Preset>,
    /// Tasks replaced at once.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1"), maximum(value = "100")))]
    pub(crate) parallelism: Option<u32>,
    /// Seconds between two batches.
    #[oai(skip_serializing_if_is_none, validator(maximum(value = "600")))]
    pub(crate) delay: Option<u32>,
    /// Seconds for which a new task is watched, and for which all must be healthy before a
    /// deployment succeeds; at least `delay` + 5.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "5"), maximum(value = "900")))]
    pub(crate) monitor: Option<u32>,
    /// Share of new tasks that may fail before Swarm acts by itself. The platform's own verdict
    /// tolerates none.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "0"), maximum(value = "1")))]
    pub(crate) max_failure_ratio: Option<f64>,
    /// Which comes first.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) order: Option<Word<UpdateOrder>>,
    /// Swarm's own safety net, for when no worker is up.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) failure_action: Option<Word<FailureAction>>,
}

impl From<UpdatePolicy> for model::update_policy::UpdatePolicy {
    fn from(policy: UpdatePolicy) -> Self {
        let preset = policy.preset.unwrap_or(Preset::Safe).values();
        Self {
            parallelism: policy.parallelism.unwrap_or(preset.parallelism),
            delay_seconds: policy.delay.unwrap_or(preset.delay_seconds),
            monitor_seconds: policy.monitor.unwrap_or(preset.monitor_seconds),
            max_failure_ratio: policy
                .max_failure_ratio
                .map_or(preset.max_failure_ratio, |ratio| ratio as f32),
            order: policy.order.map_or(preset.order, |word| word.0),
            failure_action: policy.failure_action.map_or(preset.failure_action, |word| word.0),
        }
    }
}

impl From<model::update_policy::UpdatePolicy> for UpdatePolicy {
    fn from(policy: model::update_policy::UpdatePolicy) -> Self {
        let preset =
            [Preset::Safe, Preset::Fast].into_iter().find(|preset| preset.values() == policy);
        Self {
            preset,
            parallelism: Some(policy.parallelism),
            delay: Some(policy.delay_seconds),
            monitor: Some(policy.monitor_seconds),
            max_failure_ratio: Some(shortest(policy.max_failure_ratio)),
            order: Some(Word(policy.order)),
            failure_action: Some(Word(policy.failure_action)),
        }
    }
}

/// The number that a person would write for this one: 0.3, not 0.30000001192092896.
fn shortest(ratio: f32) -> f64 {
    (f64::from(ratio) * 1e6).round() / 1e6
}

/// How long each stage of a deployment may take, in seconds. What is not stated is the platform's setting
/// (120, 300, 60 and 600, unless its operator changed them); a release states all four.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Object, Serialize)]
pub(crate) struct Deadlines {
    /// Until a node is found for a task.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "10"), maximum(value = "1800")))]
    pub(crate) schedule: Option<u32>,
    /// Until the image is on the node.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "30"), maximum(value = "3600")))]
    pub(crate) pull: Option<u32>,
    /// Until a task that was started is healthy.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "5"), maximum(value = "1800")))]
    pub(crate) healthy: Option<u32>,
    /// Between two replicas that become healthy.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "60"), maximum(value = "7200")))]
    pub(crate) progress: Option<u32>,
}

impl From<Deadlines> for model::update_policy::Deadlines {
    fn from(stated: Deadlines) -> Self {
        // Until the platform's are settled in, which takes more than a request.
        let default = Self::default();
        Self {
            schedule_seconds: stated.schedule.unwrap_or(default.schedule_seconds),
            pull_seconds: stated.pull.unwrap_or(default.pull_seconds),
            healthy_seconds: stated.healthy.unwrap_or(default.healthy_seconds),
            progress_seconds: stated.progress.unwrap_or(default.progress_seconds),
            unstated: Unstated {
                schedule: stated.schedule.is_none(),
                pull: stated.pull.is_none(),
                healthy: stated.healthy.is_none(),
                progress: stated.progress.is_none(),
            },
        }
    }
}

impl From<model::update_policy::Deadlines> for Deadlines {
    fn from(deadlines: model::update_policy::Deadlines) -> Self {
        let stated = |unstated: bool, seconds| (!unstated).then_some(seconds);
        let of = deadlines.unstated;
        Self {
            schedule: stated(of.schedule, deadlines.schedule_seconds),
            pull: stated(of.pull, deadlines.pull_seconds),
            healthy: stated(of.healthy, deadlines.healthy_seconds),
            progress: stated(of.progress, deadlines.progress_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(policy: UpdatePolicy) -> model::update_policy::UpdatePolicy {
        policy.into()
    }

    #[test]
    fn a_preset_fills_in_what_is_not_said() {
        let safe = model::update_policy::UpdatePolicy::SAFE;
        let fast = model::update_policy::UpdatePolicy::FAST;
        assert_eq!(model(UpdatePolicy::default()), safe);
        let policy = UpdatePolicy { preset: Some(Preset::Fast), ..UpdatePolicy::default() };
        assert_eq!(model(policy.clone()), fast);
        let policy = UpdatePolicy { parallelism: Some(3), ..policy };
        assert_eq!(model(policy).parallelism, 3);
    }

    #[test]
    fn an_answer_names_the_preset_that_it_is() {
        let answer = UpdatePolicy::from(model::update_policy::UpdatePolicy::FAST);
        assert_eq!(answer.preset, Some(Preset::Fast));
        assert_eq!(answer.max_failure_ratio, Some(0.3));
        assert_eq!(model(answer), model::update_policy::UpdatePolicy::FAST);
    }
}
