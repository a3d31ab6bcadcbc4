//! Bills of the sellers against their published prices.

use merit_terms::Usage;

use super::*;

fn check(seller: &str, memory_mb: u32, wall_ms: u64, usd: &str) {
    let sellers = read().unwrap();
    let seller = sellers.iter().find(|other| other.name == seller).unwrap();
    let wall_us = wall_ms * 1000;
    let usage = Usage { wall_us, cpu_us: wall_us, ..Usage::default() };
    let cost = seller.rung_for(memory_mb).unwrap().tariff.cost(memory_mb, VCPUS_MILLI, &usage);
    assert_eq!(cost.to_string(), usd, "{} {memory_mb} MB {wall_ms} ms", seller.name);
}

#[test]
fn platforms_bill_as_their_list_prices_say() {
    check("aws-lambda-x86", 128, 41, "0.000000285417");
    check("aws-lambda-arm64", 1024, 1000, "0.0000135334");
    // At least 100 ms, memory in steps of 128 MB.
    check("azure-functions", 129, 1, "0.0000006");
    // 0.2 GHz and 128 MB for 100 ms: the 0.000000231 of the list, and a request.
    check("gcp-functions-1st-gen", 128, 1, "0.00000063125");
    check("gcp-functions-1st-gen", 1024, 200, "0.0000037");
}
