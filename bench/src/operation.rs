//! What is timed of one app: operations, done by Skep and by raw Docker calls.

use serde::Serialize;

/// An operation on an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// The first deployment: v1.
    Create,
    /// A start-first update to v2, whose digest has to be asked for.
    Update,
    /// Back to v1, start-first as well, whose digest is known.
    Rollback,
    /// To more replicas. Swarm makes the missing ones, and calls that no update.
    ScaleUp,
    /// Back to as many as before.
    ScaleDown,
}

/// Replicas that a scale adds.
const ADDED: i32 = 2;

impl Operation {
    /// All, in the order in which one app goes through them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Create, Self::Update, Self::Rollback, Self::ScaleUp, Self::ScaleDown];

    /// Those that change the number of replicas.
    pub(crate) const SCALES: [Self; 2] = [Self::ScaleUp, Self::ScaleDown];

    /// Those for which nothing has to be asked for or made: the digest is known, the network is there.
    pub(crate) const KNOWN: [Self; 3] = [Self::Rollback, Self::ScaleUp, Self::ScaleDown];

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::ScaleUp => "scale up",
            Self::ScaleDown => "scale down",
        }
    }

    /// What is to be said of it once.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Create => "first deployment of v1",
            Self::Update => "start-first update to v2, digest asked for",
            Self::Rollback => "start-first back to v1, digest known",
            Self::ScaleUp => "two replicas more",
            Self::ScaleDown => "two replicas less",
        }
    }

    /// How many replicas run after it, where an app has `usually` so many.
    pub(crate) const fn replicas(self, usually: i32) -> i32 {
        match self {
            Self::ScaleUp => usually + ADDED,
            Self::Create | Self::Update | Self::Rollback | Self::ScaleDown => usually,
        }
    }

    /// Whether Swarm replaces tasks, and says when it is done with that.
    pub(crate) const fn is_rolling(self) -> bool {
        matches!(self, Self::Update | Self::Rollback)
    }
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// Skep, asked through its API.
    Skep,
    /// Docker, asked directly.
    Raw,
}

impl Side {
    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Skep => "Skep",
            Self::Raw => "raw",
        }
    }
}

/// When it got where: milliseconds since the request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Timeline {
    /// The request was answered: Skep's 202, or Docker's own answer.
    pub(crate) answered: f64,
    /// The service carried the new spec.
    pub(crate) spec_changed: f64,
    /// Every replica of it was RUNNING (that is: healthy), and no other was wanted.
    pub(crate) running: f64,
    /// They were through the window, and Swarm was done: Skep's verdict, or a raw caller's own.
    pub(crate) verdict: f64,
}

/// A point of a timeline, or what lies between two.
pub(crate) struct Stage {
    pub(crate) title: &'static str,
    pub(crate) of: fn(&Timeline) -> f64,
}

/// What the table shows of each operation.
pub(crate) const STAGES: [Stage; 5] = [
    Stage { title: "request → answered", of: |timeline| timeline.answered },
    Stage { title: "request → spec changed", of: |timeline| timeline.spec_changed },
    Stage {
        title: "answered → spec changed",
        of: |timeline| timeline.spec_changed - timeline.answered,
    },
    Stage { title: "request → running", of: |timeline| timeline.running },
    Stage { title: "request → verdict", of: |timeline| timeline.verdict },
];

/// One measured operation.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) round: u32,
    pub(crate) operation: Operation,
    pub(crate) side: Side,
    #[serde(flatten)]
    pub(crate) timeline: Timeline,
}

/// A stage of all samples of one operation and side.
pub(crate) fn of_stage(
    samples: &[Sample],
    operation: Operation,
    side: Side,
    stage: fn(&Timeline) -> f64,
) -> Vec<f64> {
    samples
        .iter()
        .filter(|sample| sample.operation == operation && sample.side == side)
        .map(|sample| stage(&sample.timeline))
        .collect()
}
