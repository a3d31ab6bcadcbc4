//! Modules that harm their host: bytes only, encoded here. Never uploads or runs one.

use bytes::Bytes;

const MAGIC: &[u8] = b"\0asm\x01\0\0\0";
/// Types of all modules: `_start`, `fd_write`, `random_get`.
const TYPES: &[u8] = &[3, 0x60, 0, 0, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 2, 0x7f, 0x7f, 1, 0x7f];
const FD_WRITE: Option<(&str, u8)> = Some(("fd_write", 1));
const RANDOM_GET: Option<(&str, u8)> = Some(("random_get", 2));
const END: u8 = 0x0b;
/// loop, br 0, end.
const FOR_EVER: &[u8] = &[0, 0x03, 0x40, 0x0c, 0, END, END];
/// unreachable.
const TRAP: &[u8] = &[0, 0, END];
/// memory.grow by 1 MiB, unreachable at the limit, memory.fill of the new memory; again.
const GROW: &[u8] = &[
    1, 1, 0x7f, 0x03, 0x40, // one variable; loop
    0x41, 16, 0x40, 0, 0x22, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0, END, // grow by 16 pages; -1: unreachable
    0x20, 0, 0x41, 16, 0x74, 0x41, 1, 0x41, 0x80, 0x80, 0xc0, 0, 0xfc, 0x0b, 0, // fill from there
    0x0c, 0, END, END,
];
/// fd_write of 64 KiB to standard output, again and again.
const WRITE: &[u8] = &[
    0, 0x41, 4, 0x41, 0x80, 0x80, 4, 0x36, 2, 0, // the length of the only buffer
    0x03, 0x40, 0x41, 1, 0x41, 0, 0x41, 1, 0x41, 8, 0x10, 0, 0x1a, 0x0c, 0, END, END,
];
/// random_get of 983,040 bytes, again and again.
const RANDOM: &[u8] = &[0, 0x03, 0x40, 0x41, 0, 0x41, 0x80, 0x80, 0x3c, 0x10, 0, 0x1a, 0x0c, 0, END, END];

/// The parts in which the modules differ.
#[derive(Clone, Copy, Default)]
struct Parts<'a> {
    /// Function of WASI preview 1, with its type.
    import: Option<(&'a str, u8)>,
    table_elements: Option<u32>,
    memory_pages: u32,
    /// `_start` also runs as the start section, while the instance is made.
    starts: bool,
    body: &'a [u8],
}

/// Runs for ever.
pub(crate) fn endless() -> Bytes {
    module(Parts { body: FOR_EVER, ..Parts::default() })
}

/// Runs for ever while its instance is made.
pub(crate) fn endless_start() -> Bytes {
    module(Parts { body: FOR_EVER, starts: true, ..Parts::default() })
}

/// Traps while its instance is made.
pub(crate) fn trap_at_start() -> Bytes {
    module(Parts { body: TRAP, starts: true, ..Parts::default() })
}

/// Takes memory and writes to all of it up to its limit, then traps.
pub(crate) fn memory() -> Bytes {
    module(Parts { body: GROW, memory_pages: 1, ..Parts::default() })
}

/// Writes to its standard output for ever.
pub(crate) fn output() -> Bytes {
    module(Parts { import: FD_WRITE, body: WRITE, memory_pages: 2, ..Parts::default() })
}

/// Asks its host for random bytes for ever.
pub(crate) fn random() -> Bytes {
    module(Parts { import: RANDOM_GET, body: RANDOM, memory_pages: 16, ..Parts::default() })
}

/// Has a table that no host can make.
pub(crate) fn unrunnable() -> Bytes {
    module(Parts { table_elements: Some(10_000_000), body: TRAP, ..Parts::default() })
}

/// Takes the compiler minutes: nested loops over many variables.
pub(crate) fn compile_bomb() -> Bytes {
    const DEPTH: usize = 150;
    const VARIABLES: u32 = 300;
    let mut body = vec![1];
    unsigned(&mut body, VARIABLES);
    body.push(0x7f);
    body.extend([0x03, 0x40].repeat(DEPTH));
    for variable in 0..VARIABLES {
        // local.get, local.get of the next one, i32.add, local.set
        for (operation, operand) in [(0x20, variable), (0x20, (variable + 1) % VARIABLES), (0x21, variable)] {
            if operation == 0x21 {
                body.push(0x6a);
            }
            body.push(operation);
            unsigned(&mut body, operand);
        }
    }
    // br_if 0 by the first variable, then the end of each loop
    body.extend([0x20, 0, 0x0d, 0, END].repeat(DEPTH));
    body.push(END);
    module(Parts { body: &body, ..Parts::default() })
}

/// Has 3.6 MB of code in one function.
pub(crate) fn large() -> Bytes {
    let steps = [0x41, 3, 0x6c, 0x41, 5, 0x6a].repeat(600_000);
    let body = [&[0, 0x41, 1][..], &steps, &[0x1a, END]].concat();
    module(Parts { body: &body, ..Parts::default() })
}

/// Returns the module with a section that hosts ignore, so that its digest is another.
pub(crate) fn salted(module: &Bytes, salt: &str) -> Bytes {
    let mut salted = module.to_vec();
    section(&mut salted, 0, &name(salt));
    salted.into()
}

fn module(parts: Parts<'_>) -> Bytes {
    let mut module = MAGIC.to_vec();
    let start = u8::from(parts.import.is_some());
    section(&mut module, 1, TYPES);
    if let Some((import, of_type)) = parts.import {
        let words = [&[1][..], &name("wasi_snapshot_preview1"), &name(import), &[0, of_type]];
        section(&mut module, 2, &words.concat());
    }
    section(&mut module, 3, &[1, 0]);
    if let Some(elements) = parts.table_elements {
        let mut table = vec![1, 0x70, 0];
        unsigned(&mut table, elements);
        section(&mut module, 4, &table);
    }
    let mut memory = vec![1, 0];
    unsigned(&mut memory, parts.memory_pages);
    section(&mut module, 5, &memory);
    section(&mut module, 7, &[&[2][..], &name("memory"), &[2, 0], &name("_start"), &[0, start]].concat());
    if parts.starts {
        section(&mut module, 8, &[start]);
    }
    let mut code = vec![1];
    unsigned(&mut code, parts.body.len() as u32);
    code.extend(parts.body);
    section(&mut module, 10, &code);
    module.into()
}

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    unsigned(module, content.len() as u32);
    module.extend(content);
}

fn name(text: &str) -> Vec<u8> {
    let mut name = Vec::new();
    unsigned(&mut name, text.len() as u32);
    name.extend(text.as_bytes());
    name
}

/// Appends a number in LEB128.
fn unsigned(to: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
#[path = "../../tests/unit/tenants_bench/hostile.rs"]
mod tests;
