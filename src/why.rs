//! `merit why`: the whole decision on an invocation, or at one sequence, recomputed from the journal.

use std::path::PathBuf;
use std::str::FromStr;

use merit_engine::{Candidate, Refused, Source};
use merit_exchange::history::{self, Decision, Named};
use merit_terms::{LeaseId, LeaseIdError, Money};
use serde_json::{Value, json};

use crate::decision::{OFFERS, Remarks, millis, print_refused};
use crate::journal;
use crate::last_invocation;
use crate::output::Kind::{Cost, Price};
use crate::output::{Format, Output, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The invocation, as in the answer's Merit-Invocation-Id; the sequence of a match, as on the tape; or `last`, for
    /// this user's last `merit invoke`
    #[arg(value_name = "INVOCATION|SEQUENCE|last")]
    asked: Asked,
    /// The exchange's data directory; it may be in use
    #[arg(long, default_value = "./merit-data", env = "MERIT_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy)]
enum Asked {
    Invocation(LeaseId),
    Sequence(u64),
    Last,
}

impl FromStr for Asked {
    type Err = LeaseIdError;
    fn from_str(text: &str) -> Result<Asked, LeaseIdError> {
        if text == "last" {
            return Ok(Asked::Last);
        }
        text.parse().map_or_else(|_| text.parse().map(Asked::Invocation), |sequence| Ok(Asked::Sequence(sequence)))
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    journal::check(&arguments.data_dir, "merit why INVOCATION --data-dir DIR")?;
    let decisions = match arguments.asked {
        Asked::Invocation(invocation) => history::why(&arguments.data_dir, invocation)?,
        Asked::Last => {
            let (invocation, broker) = last_invocation::recall()?;
            eprintln!("{invocation}, the last call by `merit invoke`, at {broker}");
            history::why(&arguments.data_dir, invocation)?
        }
        Asked::Sequence(sequence) => vec![history::why_at(&arguments.data_dir, sequence)?],
    };
    match arguments.format.output {
        Output::Json => print_json(&json!({
            "invocation": decisions.first().map(|decision| decision.lease.invocation.to_string()),
            "attempts": decisions.iter().map(to_json).collect::<Vec<_>>(),
        })),
        Output::Table => decisions.iter().for_each(|decision| print(decision, arguments.format)),
    }
    Ok(())
}

fn to_json(decision: &Decision) -> Value {
    let Decision { lease, winner, .. } = decision;
    json!({
        "lease": lease.id.to_string(),
        "attempt": lease.attempt,
        "at": lease.matched_at.to_string(),
        "sequence": lease.id.sequence,
        "command": decision.command,
        "account": decision.account,
        "function": decision.function,
        "revision": lease.revision,
        "memory_mb": lease.memory_mb,
        "timeout_ms": lease.timeout_ms,
        "winner": {
            "provider": winner.provider,
            "market": winner.market,
            "offer": lease.offer.to_string(),
            "price": lease.price.to_string(),
            "predicted_cost": lease.quoted_cost.to_string(),
            "worst_cost": lease.worst_cost.to_string(),
            "prior": lease.on_prior,
        },
        "runner_up": decision.runner_up.as_ref().map(|(provider, cost)| {
            json!({"provider": provider, "predicted_cost": cost.to_string()})
        }),
        "offers": (1_u32..).zip(&decision.offers).map(|(rank, offer)| offer_json(rank, offer)).collect::<Vec<_>>(),
        "refused": decision.refused.iter().map(refused_json).collect::<Vec<_>>(),
        "agrees": decision.agrees,
    })
}

fn offer_json(rank: u32, offer: &Named<Candidate>) -> Value {
    let candidate = &offer.what;
    json!({
        "rank": rank,
        "provider": offer.provider,
        "offer": candidate.offer.to_string(),
        "market": offer.market,
        "price": candidate.price.to_string(),
        "predicted": {
            "wall_us": candidate.wall_us,
            "cold_us": candidate.cold_us,
            "billed_ms": candidate.billed_ms,
            "cost": candidate.cost.to_string(),
            "cost_of_answer": cost_of_answer(candidate),
        },
        "worst_cost": candidate.worst_cost.to_string(),
        "timeout_ms": candidate.timeout_ms,
        "prior": candidate.source == Source::Prior,
        "observed": candidate.source == Source::Observed,
        "success_percent": candidate.success_percent,
    })
}

fn cost_of_answer(candidate: &Candidate) -> Option<String> {
    (candidate.cost_of_answer < Money::MAX).then(|| candidate.cost_of_answer.to_string())
}

fn remarks(candidate: &Candidate) -> Remarks {
    Remarks {
        prior: candidate.source == Source::Prior,
        observed: candidate.source == Source::Observed,
        success_percent: candidate.success_percent.into(),
        cost_of_answer: cost_of_answer(candidate),
    }
}

fn refused_json(refused: &Named<Refused>) -> Value {
    json!({
        "provider": refused.provider,
        "offer": refused.what.offer.to_string(),
        "market": refused.market,
        "code": refused.what.reason.code(),
        "message": refused.what.reason.to_string(),
    })
}

fn print(decision: &Decision, format: Format) {
    let Decision { lease, winner, .. } = decision;
    println!(
        "{} {} revision {}, {} MB, at most {} ms: attempt {} was matched at {}, sequence {}, by {}",
        decision.account,
        decision.function,
        lease.revision,
        lease.memory_mb,
        lease.timeout_ms,
        lease.attempt,
        lease.matched_at,
        lease.id.sequence,
        decision.command
    );
    let prior = if lease.on_prior { ", without history" } else { "" };
    println!(
        "won by {} in {} at {}, predicted at {}{prior}",
        winner.provider,
        winner.market,
        format.with_unit(Price, &lease.price.to_string()),
        format.with_unit(Cost, &lease.quoted_cost.to_string())
    );
    match &decision.runner_up {
        Some((provider, cost)) => {
            println!("runner-up {provider}, predicted at {}", format.with_unit(Cost, &cost.to_string()))
        }
        None => println!("nobody else could have served it"),
    }
    println!();
    format.print_table(&OFFERS, (1_u32..).zip(&decision.offers).map(|(rank, offer)| offer_row(rank, offer)));
    print_refused(decision.refused.iter().map(refused_row));
    if !decision.agrees {
        println!("\nThis command also matched resting bids; the order above may differ from that at the match.");
    }
    println!();
}

fn offer_row(rank: u32, offer: &Named<Candidate>) -> Vec<String> {
    let candidate = &offer.what;
    vec![
        rank.to_string(),
        offer.provider.clone(),
        offer.market.clone(),
        candidate.price.to_string(),
        millis(candidate.wall_us + candidate.cold_us),
        candidate.billed_ms.to_string(),
        candidate.cost.to_string(),
        candidate.worst_cost.to_string(),
        remarks(candidate).text(),
    ]
}

fn refused_row(refused: &Named<Refused>) -> [String; 4] {
    let reason = &refused.what.reason;
    [refused.provider.clone(), refused.market.clone(), reason.code().to_owned(), reason.to_string()]
}
