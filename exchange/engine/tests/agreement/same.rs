//! Assertions that name the difference of two values: the first item that differs, and its lines.

use std::fmt::Debug;

/// Asserts that both are the same; names the lines that differ.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, engine: &T, twin: &T) {
    assert!(engine == twin, "{what}: the engine and its twin differ{}", differing(engine, twin));
}

/// Asserts that both have the same items; names the first that differs.
pub(crate) fn same_items<T: PartialEq + Debug>(
    what: &str,
    engine: impl IntoIterator<Item = T>,
    twin: impl IntoIterator<Item = T>,
) {
    let (mut engine, mut twin) = (engine.into_iter(), twin.into_iter());
    for number in 0.. {
        match (engine.next(), twin.next()) {
            (None, None) => return,
            (Some(one), Some(other)) => same(&format!("{what}, number {number}"), &one, &other),
            (Some(one), None) => panic!("{what}: only the engine has number {number}, {one:?}"),
            (None, Some(other)) => panic!("{what}: only the twin has number {number}, {other:?}"),
        }
    }
}

/// Returns the lines in which the printed values differ, under the lines that head them.
fn differing<T: Debug>(engine: &T, twin: &T) -> String {
    let (engine, twin) = (format!("{engine:#?}"), format!("{twin:#?}"));
    let (engine, twin): (Vec<&str>, Vec<&str>) = (engine.lines().collect(), twin.lines().collect());
    let alike = engine.iter().zip(&twin).take_while(|(one, other)| one == other).count();
    let alike_at_end = engine[alike..].iter().rev().zip(twin[alike..].iter().rev());
    let alike_at_end = alike_at_end.take_while(|(one, other)| one == other).count();
    let part = |sign: &str, lines: &[&str]| -> String {
        let lines = &lines[alike..lines.len() - alike_at_end];
        lines.iter().map(|line| format!("\n{sign} {line}")).collect()
    };
    let within = |line: &&str| format!("\n  {line}");
    let (whole, before) = engine[..alike].split_at(alike.min(8));
    let (whole, before): (String, String) =
        (whole.iter().map(within).collect(), around(before).iter().map(within).collect());
    format!("{whole}\n  ...{before}{}{}", part("-", &engine), part("+", &twin))
}

/// Returns the line that ends `lines`, below the lines that it is nested in.
fn around<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut around: Vec<&str> = Vec::new();
    for line in lines.iter().rev() {
        if around.last().is_none_or(|inner| indent(line) < indent(inner)) {
            around.push(line);
        }
    }
    around.reverse();
    around
}
