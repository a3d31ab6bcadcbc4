//! `merit journal inspect`: the contents of a data directory, or its commands.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use merit_engine::Command;
use merit_exchange::history::{self, Listed};
use merit_journal::storage::Directory;
use merit_journal::{self as journal, Report, SegmentContents};
use merit_terms::Time;
use serde_json::{Value, json};

use super::DataDir;
use super::readable::fields;
use crate::output::Kind::{self, Number, Text};
use crate::output::{Format, Output, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDir,
    /// Print the commands from this sequence on
    #[arg(long, value_name = "SEQUENCE")]
    from: Option<u64>,
    /// Print the commands up to this sequence
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let data_dir = arguments.data.path()?;
    match (arguments.from, arguments.to) {
        (None, None) => summary(data_dir, arguments.format),
        (from, to) => commands(data_dir, from.unwrap_or(1), to.unwrap_or(u64::MAX), arguments.format),
    }
}

fn commands(data_dir: &Path, from: u64, to: u64, format: Format) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let report = history::commands(data_dir, from, to, |sequence, at, command, bytes| {
        let (kind, text) = (history::kind(command), fields(command));
        match format.output {
            Output::Json => rows.push(json!({
                "sequence": sequence, "at": at.to_string(), "kind": kind, "bytes": bytes, "fields": text,
            })),
            Output::Table => println!("{sequence} {at} {kind} {text}"),
        }
    })?;
    if format.is_json() {
        print_json(&json!({"commands": rows, "damage": report.damage.as_ref().map(ToString::to_string)}));
    }
    conclude(&report)
}

/// Totals over all commands.
#[derive(Default)]
struct Counted {
    /// Number of commands of each kind, and the bytes of their records.
    kinds: BTreeMap<&'static str, (u64, u64)>,
    /// Number of each run, the sequence of its start, and its time.
    runs: Vec<(u32, u64, Time)>,
    rules: Vec<(u32, u64, Time)>,
    /// First sequences of the segments.
    starts: Vec<u64>,
    /// Times of the first and last command of each segment, by its first sequence.
    times: BTreeMap<u64, (Time, Time)>,
}

impl Counted {
    fn add(&mut self, sequence: u64, at: Time, command: &Command, bytes: usize) {
        let kind = self.kinds.entry(history::kind(command)).or_default();
        *kind = (kind.0 + 1, kind.1 + bytes as u64);
        match command {
            Command::Start { run } => self.runs.push((*run, sequence, at)),
            Command::ActivateRules { version } => self.rules.push((*version, sequence, at)),
            _ => {}
        }
        if self.starts.binary_search(&sequence).is_ok() {
            self.times.insert(sequence, (at, at));
        } else if let Some(mut segment) = self.times.last_entry() {
            segment.get_mut().1 = at;
        }
    }

    fn first_at(&self) -> Option<Time> {
        self.times.first_key_value().map(|(_, (first, _))| *first)
    }

    fn last_at(&self) -> Option<Time> {
        self.times.last_key_value().map(|(_, (_, last))| *last)
    }
}

fn summary(data_dir: &Path, format: Format) -> anyhow::Result<()> {
    let segments = journal::segments(&Directory::existing(data_dir))?;
    let starts = segments.iter().map(|segment| segment.first_sequence).collect();
    let mut counted = Counted { starts, ..Counted::default() };
    let report = history::commands(data_dir, 1, u64::MAX, |sequence, at, command, bytes| {
        counted.add(sequence, at, command, bytes);
    })?;
    let snapshots = history::snapshots(data_dir)?;
    match format.output {
        Output::Json => print_json(&to_json(&report, &counted, &snapshots)),
        Output::Table => print(&report, &counted, &snapshots, format),
    }
    conclude(&report)
}

fn to_json(report: &Report, counted: &Counted, snapshots: &[Listed]) -> Value {
    let contents = &report.contents;
    let text = |at: Option<Time>| at.map(|at| at.to_string());
    let segment = |segment: &SegmentContents| {
        let times = counted.times.get(&segment.first_sequence);
        json!({
            "file": segment.file,
            "first_sequence": segment.first_sequence,
            "records": segment.records,
            "batches": segment.batches,
            "bytes": segment.bytes,
            "first_at": text(times.map(|(first, _)| *first)),
            "last_at": text(times.map(|(_, last)| *last)),
        })
    };
    let run = |(run, sequence, at): &(u32, u64, Time)| json!({"run": run, "sequence": sequence, "at": at.to_string()});
    let rules = |(version, sequence, at): &(u32, u64, Time)| {
        let at = at.to_string();
        json!({"rules": version, "sequence": sequence, "at": at})
    };
    let kind = |(kind, (count, bytes)): (&&str, &(u64, u64))| json!({"kind": kind, "count": count, "bytes": bytes});
    json!({
        "identity": report.identity.map(|identity| format!("{identity:08x}")),
        "first_sequence": contents.first_sequence,
        "last_sequence": contents.last_sequence,
        "first_at": text(counted.first_at()),
        "last_at": text(counted.last_at()),
        "records": contents.records,
        "batches": contents.batches,
        "bytes": contents.bytes,
        "segments": contents.by_segment.iter().map(segment).collect::<Vec<_>>(),
        "snapshots": snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "runs": counted.runs.iter().map(run).collect::<Vec<_>>(),
        "rules": counted.rules.iter().map(rules).collect::<Vec<_>>(),
        "commands": counted.kinds.iter().map(kind).collect::<Vec<_>>(),
        "damage": report.damage.as_ref().map(ToString::to_string),
        "in_use": report.in_use,
    })
}

fn snapshot(listed: &Listed) -> Value {
    match &listed.header {
        Ok(header) => json!({
            "sequence": listed.sequence,
            "run": header.run,
            "rules": header.rules,
            "bytes": header.body_bytes,
            "digest": format!("{:032x}", header.digest),
        }),
        Err(error) => json!({"sequence": listed.sequence, "problem": error.to_string()}),
    }
}

fn print(report: &Report, counted: &Counted, snapshots: &[Listed], format: Format) {
    let contents = &report.contents;
    let text = |at: Option<Time>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    println!(
        "{} commands in {} batches, {} bytes, from {} to {}",
        contents.records,
        contents.batches,
        contents.bytes,
        text(counted.first_at()),
        text(counted.last_at())
    );
    println!();
    let columns =
        [("segment", Text), ("from sequence", Number), ("commands", Number), ("bytes", Number), ("from", Kind::Time)];
    let segment = |segment: &SegmentContents| {
        let first = counted.times.get(&segment.first_sequence).map(|(first, _)| *first);
        let numbers = [segment.first_sequence, segment.records, segment.bytes].map(|number| number.to_string());
        [vec![segment.file.clone()], numbers.to_vec(), vec![text(first)]].concat()
    };
    format.print_table(&columns, contents.by_segment.iter().map(segment));
    println!();
    let columns = [("snapshot", Number), ("run", Number), ("rules", Number), ("bytes", Number), ("", Text)];
    let row = |listed: &Listed| match &listed.header {
        Ok(header) => {
            let numbers = [listed.sequence, header.run.into(), header.rules.into(), header.body_bytes];
            [numbers.map(|number| number.to_string()).to_vec(), vec![String::new()]].concat()
        }
        Err(error) => {
            let unknown = || "-".to_owned();
            vec![listed.sequence.to_string(), unknown(), unknown(), unknown(), error.to_string()]
        }
    };
    format.print_table(&columns, snapshots.iter().map(row));
    println!();
    let columns = [("run", Number), ("from sequence", Number), ("from", Kind::Time)];
    let row = |(run, sequence, at): &(u32, u64, Time)| vec![run.to_string(), sequence.to_string(), at.to_string()];
    format.print_table(&columns, counted.runs.iter().map(row));
    println!();
    let columns = [("kind", Text), ("commands", Number), ("bytes", Number)];
    let row =
        |(kind, (count, bytes)): (&&str, &(u64, u64))| vec![(*kind).to_owned(), count.to_string(), bytes.to_string()];
    format.print_table(&columns, counted.kinds.iter().map(row));
    if report.in_use {
        println!("\na process is writing this journal: an unfinished batch may look like a damaged end");
    }
}

fn conclude(report: &Report) -> anyhow::Result<()> {
    match &report.damage {
        None => Ok(()),
        Some(damage) => bail!("{damage}; {}", damage.way_out()),
    }
}
