//! Where a model stands, in words that say what comes next.

use afresh_core::event::Stage;
use afresh_core::model::{Model, Phase};

/// What the model does or waits for.
pub fn words(model: &Model) -> String {
    match model.phase() {
        Phase::Idle { .. } => match model.champion() {
            Some(champion) => format!("{champion} serves"),
            None => "nothing serves yet".to_owned(),
        },
        Phase::Queued { run, .. } => format!("{} waits for free slots or budget", run.id),
        Phase::Working { run, stage, .. } => format!("{} is {}", run.id, doing(stage)),
        Phase::Backoff { run, retry_at, attempt, .. } => {
            format!(
                "a step of {} failed; attempt {} follows at {retry_at}, by `afresh run --once`",
                run.id,
                attempt + 1
            )
        }
        Phase::Waiting { run, candidate, rejudge_at, .. } => format!(
            "{candidate} of {} was not clearly better or worse: it is judged again at {rejudge_at}",
            run.id
        ),
        Phase::AwaitingApproval { run, candidate } => format!(
            "{candidate} passed and waits for a person: `afresh approve {0}` or \
             `afresh decline {0}`",
            run.id
        ),
        Phase::Held { candidate, until, .. } => {
            format!("{candidate} passed and is rolled out when the blackout ends at {until}")
        }
        Phase::Deploying { candidate, percent, .. } => {
            format!("{candidate} is about to answer {percent} % of the traffic")
        }
        Phase::Holding { candidate, percent, until, .. } => {
            format!("{candidate} answers {percent} % of the traffic until {until}")
        }
        Phase::Probation { candidate, earliest, latest, labels_needed, labels, .. } => {
            let until = if labels < labels_needed { latest } else { earliest };
            format!(
                "{candidate} serves on probation: {labels} of {labels_needed} labels have come, \
                 it ends at {until} at the latest"
            )
        }
        Phase::RollingBack { .. } => match model.champion() {
            Some(champion) => format!("{champion} is about to answer again"),
            None => "the candidate is about to be taken back; nothing serves then".to_owned(),
        },
        Phase::Overriding { to, .. } => format!("{to} is about to serve, by a person's choice"),
    }
}

/// What a step does.
pub fn doing(stage: &Stage) -> String {
    match stage {
        Stage::Prepare => "choosing rows".to_owned(),
        Stage::Train { candidate, .. } => format!("training {candidate}"),
        Stage::Judge { candidate, .. } => format!("judging {candidate}"),
        Stage::Refit { parent, candidate, .. } => {
            format!("training {parent}'s recipe on all rows as {candidate}")
        }
    }
}
