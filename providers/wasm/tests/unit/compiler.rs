//! The compiler's child processes, with a program in the place of the real one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Gets no processor as long as it asks for idle ones only.
const STARVES: &str = r#"#!/bin/sh
case "$*" in
    *--idle*) exec sleep 60 ;;
    *) echo "compiled by $$"; exec cat >/dev/null ;;
esac
"#;

#[tokio::test]
async fn a_compiler_without_a_processor_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("starves");
    fs::write(&program, STARVES).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    let compiler = Compiler::new(Some(program), None, 1);
    let turn = compiler.wait(compiler.reserve("account").unwrap(), 5).await.unwrap();
    let compiled = compiler.compile(Bytes::from_static(b"bytes"), &turn, &CompileProgress::default()).await;
    assert!(compiled.unwrap().starts_with(b"compiled by "));
}

#[tokio::test]
async fn a_compiler_that_cannot_start_is_the_hosts_failure() {
    let compiler = Compiler::new(Some("/nowhere/merit".into()), None, 1);
    let turn = compiler.wait(compiler.reserve("account").unwrap(), 5).await.unwrap();
    let failed = compiler.compile(Bytes::new(), &turn, &CompileProgress::default()).await.unwrap_err();
    assert!(matches!(failed, ModuleError::Host(_)) && !failed.is_of_module(), "{failed}");
}
