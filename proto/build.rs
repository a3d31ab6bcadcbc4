//! Compiles the .proto files, without a protoc on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 11] = [
    "merit/v1/types.proto",
    "merit/v1/journal.proto",
    "merit/v1/brokerage.proto",
    "merit/v1/registry.proto",
    "merit/v1/market_data.proto",
    "merit/v1/modules.proto",
    "merit/v1/operator.proto",
    "merit/v1/provider.proto",
    "merit/v1/archive.proto",
    "merit/v1/rows.proto",
    "merit/v1/keys.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=merit");
    let descriptors = protox::compile(FILES, ["."])?;
    let descriptor_file = PathBuf::from(env::var("OUT_DIR")?).join("merit.v1.bin");
    fs::write(descriptor_file, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().btree_map(".").bytes(".merit.v1.ModuleChunk").compile_fds(descriptors)?;
    Ok(())
}
