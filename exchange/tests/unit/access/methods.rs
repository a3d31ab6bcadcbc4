//! The table of methods against the protocol.

use std::collections::BTreeSet;

use prost::Message;

use super::*;

#[test]
fn the_table_lists_exactly_the_methods_of_the_protocol() {
    let files = prost_types::FileDescriptorSet::decode(merit_proto::DESCRIPTORS).unwrap().file;
    let mut methods = BTreeSet::new();
    for file in &files {
        for service in &file.service {
            let of = format!("/{}.{}/", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| format!("{of}{}", method.name())));
        }
    }
    let table: BTreeSet<String> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(table, methods);
    assert_eq!(table.len(), TABLE.len());
}

#[test]
fn a_method_that_is_not_in_the_table_takes_nobody() {
    let refused = admit("/merit.v1.Registry/Burn", &Identity::InProcess).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    admit("/grpc.health.v1.Health/Check", &Identity::Stranger).unwrap();
}
