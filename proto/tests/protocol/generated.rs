//! Holds the committed code of `merit.v1` to its .proto files.
//!
//! `MERIT_REGENERATE=1 cargo test -p merit-proto --test protocol generated` writes the code anew, without a protoc on
//! the machine. The build itself compiles no .proto file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message;

/// The file that tonic-prost-build names after the package.
const CODE: &str = "merit.v1.rs";
/// The compiled description of every service, for gRPC reflection.
const DESCRIPTORS: &str = "merit.v1.bin";

#[test]
fn committed_code_equals_what_the_proto_files_give() {
    let fresh = tempfile::tempdir().unwrap();
    generate(fresh.path());

    let committed = crate_folder().join("src/generated");
    if std::env::var_os("MERIT_REGENERATE").is_some() {
        fs::create_dir_all(&committed).unwrap();
        for file in [CODE, DESCRIPTORS] {
            fs::copy(fresh.path().join(file), committed.join(file)).unwrap();
        }
    }
    for file in [CODE, DESCRIPTORS] {
        let equal = fs::read(fresh.path().join(file)).unwrap() == fs::read(committed.join(file)).unwrap();
        assert!(
            equal,
            "proto/src/generated/{file} is not what proto/merit/v1 gives; write it anew by\n    \
             MERIT_REGENERATE=1 cargo test -p merit-proto --test protocol generated"
        );
    }
}

fn generate(folder: &Path) {
    let descriptors = protox::compile(proto_files(), [crate_folder()]).unwrap();
    fs::write(folder.join(DESCRIPTORS), descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".merit.v1.ModuleChunk")
        .out_dir(folder)
        .compile_fds(descriptors)
        .unwrap();
    let code = fs::read_to_string(folder.join(CODE)).unwrap();
    fs::write(
        folder.join(CODE),
        format!("// Generated from proto/merit/v1 by proto/tests/protocol/generated.rs.\n{code}"),
    )
    .unwrap();
}

/// Every .proto file, by name: the order of the files must not depend on the disk.
fn proto_files() -> Vec<PathBuf> {
    let folder = crate_folder().join("merit/v1");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
