//! The check of an uploaded module: valid WebAssembly that every provider's host can run. Never runs or compiles one.

use wasmparser::types::Types;
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures,
};

use crate::preview_1::IMPORTS;
use crate::{FUNCTIONS_MAX, GLOBALS_MAX, MODULE_MAX_BYTES, TABLE_ELEMENTS_MAX, TABLES_MAX};

/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";
const WASI: &str = "wasi_snapshot_preview1";
/// The language of every provider's WebAssembly host: its second version without `externref`, which would need a
/// garbage collector, and tail calls.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .difference(WasmFeatures::GC_TYPES);
/// A module that no provider can run. The text is for its owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleFault {
    #[error("not a WebAssembly module: {0}")]
    NotWebAssembly(String),
    #[error("this is a WebAssembly component; a module that uses WASI preview 1 is needed")]
    Component,
    #[error("imports {module}.{name}, which WASI preview 1 does not have")]
    Import { module: String, name: String },
    #[error("exports no function `_start`; build it as a WASI preview 1 command")]
    NoStart,
    #[error("exports no memory named `memory`")]
    NoMemory,
    #[error("imports {name} of WASI preview 1 as {found}; it is {expected}")]
    ImportType { name: String, found: String, expected: String },
    #[error("{bytes} bytes; at most {MODULE_MAX_BYTES}")]
    TooLarge { bytes: usize },
    #[error("has {count} {what}; at most {most}")]
    TooMany { what: &'static str, count: u64, most: u32 },
}

/// Returns the bytes of a module's code; 0 of bytes that are no module. A compiler's time grows with it.
pub fn code_bytes(module: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads.map(|payload| if let Payload::CodeSectionStart { size, .. } = payload { size as usize } else { 0 }).sum()
}

/// Refuses a module that no provider could run.
pub fn check(module: &[u8]) -> Result<(), ModuleFault> {
    if module.len() > MODULE_MAX_BYTES {
        return Err(ModuleFault::TooLarge { bytes: module.len() });
    }
    if !module.starts_with(MAGIC) {
        let message = "it does not begin as one; name the compiled .wasm file".to_owned();
        return Err(ModuleFault::NotWebAssembly(message));
    }
    let bad = |error: wasmparser::BinaryReaderError| ModuleFault::NotWebAssembly(error.to_string());
    if Parser::is_component(module) {
        return Err(ModuleFault::Component);
    }
    let types = Validator::new_with_features(FEATURES).validate_all(module).map_err(bad)?;
    let (mut start, mut memory, mut table_elements) = (false, false, 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(bad)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(bad)?;
                    check_import(&types, import.module, import.name, import.ty)?;
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    table_elements = table.map_err(bad)?.ty.initial.max(table_elements);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(bad)?;
                    start |= export.name == "_start"
                        && export.kind == ExternalKind::Func
                        && takes_nothing(&types, export.index);
                    memory |= export.name == "memory" && export.kind == ExternalKind::Memory;
                }
            }
            _ => {}
        }
    }
    let counted = types.as_ref();
    for (what, count, most) in [
        ("tables", counted.table_count().into(), TABLES_MAX),
        ("elements in a table", table_elements, TABLE_ELEMENTS_MAX),
        ("functions", counted.function_count().into(), FUNCTIONS_MAX),
        ("global variables", counted.global_count().into(), GLOBALS_MAX),
    ] {
        if count > u64::from(most) {
            return Err(ModuleFault::TooMany { what, count, most });
        }
    }
    match (start, memory) {
        (false, _) => Err(ModuleFault::NoStart),
        (_, false) => Err(ModuleFault::NoMemory),
        _ => Ok(()),
    }
}

/// Refuses an import that is no function of WASI preview 1, or has another type.
fn check_import(types: &Types, module: &str, name: &str, import: TypeRef) -> Result<(), ModuleFault> {
    let known = IMPORTS.iter().find(|(known, ..)| module == WASI && *known == name);
    let (Some((_, parameters, results)), TypeRef::Func(index)) = (known, import) else {
        return Err(ModuleFault::Import { module: module.into(), name: name.into() });
    };
    let types = types.as_ref();
    let found = &types[types.core_type_at_in_module(index)];
    let expected = FuncType::new(parameters.chars().map(value_type), results.chars().map(value_type));
    match &found.composite_type.inner {
        CompositeInnerType::Func(found) if *found == expected => Ok(()),
        CompositeInnerType::Func(found) => {
            let (found, expected) = (found.to_string(), expected.to_string());
            Err(ModuleFault::ImportType { name: name.into(), found, expected })
        }
        _ => Err(ModuleFault::Import { module: module.into(), name: name.into() }),
    }
}

/// Reads a letter of [`IMPORTS`].
fn value_type(letter: char) -> ValType {
    if letter == 'I' { ValType::I64 } else { ValType::I32 }
}

/// Returns true for a function without parameters and results, as `_start` must be.
fn takes_nothing(types: &Types, function: u32) -> bool {
    let types = types.as_ref();
    let signature = &types[types.core_function_at(function)];
    match &signature.composite_type.inner {
        CompositeInnerType::Func(function) => function.params().is_empty() && function.results().is_empty(),
        _ => false,
    }
}
