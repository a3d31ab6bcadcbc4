//! Tests of the vocabulary by cases (the worked examples of the interfaces among them) and by properties.

use merit_terms::*;
use proptest::prelude::*;

const fn usd(picodollars: u64) -> Price {
    Price::from_picodollars(picodollars)
}

/// AWS Lambda x86 in its first tier, as published.
fn lambda() -> Tariff {
    Tariff {
        per_request: usd(200_000),
        per_gb_second: usd(16_666_700),
        per_cpu_ms: usd(0),
        per_gb_egress: usd(0),
        increment_ms: 1,
        minimum_ms: 1,
        memory_step_mb: 1,
        bills_cold_start: true,
    }
}

fn ran(wall_us: u64) -> Usage {
    Usage { wall_us, cpu_us: 0, cold_us: 0, egress_bytes: 0 }
}

#[test]
fn the_worked_example_costs_285_417_picodollars() {
    assert_eq!(lambda().cost(128, 1000, &ran(41_000)).picodollars(), 285_417);
    assert_eq!(lambda().cost(128, 1000, &ran(40_312)).to_string(), "0.000000285417");
}

#[test]
fn the_worst_case_of_the_worked_example_bills_three_seconds() {
    assert_eq!(lambda().worst_case(128, 1000, 3000, 6 << 20).to_string(), "0.000006450013");
}

#[test]
fn the_reference_price_of_lambda_is_everything_included() {
    assert_eq!(lambda().reference_price().to_string(), "0.0000206667");
    // 0.09 USD per GB of 1,000 bytes of answer, 20 calls per GB-s.
    let with_egress = Tariff { per_gb_egress: "0.09".parse().unwrap(), ..lambda() };
    assert_eq!(with_egress.reference_price().to_string(), "0.0000223431");
}

#[test]
fn only_a_tariff_without_any_rate_has_price_0() {
    let free = Tariff { per_request: Price::ZERO, per_gb_second: Price::ZERO, ..lambda() };
    assert_eq!(free.reference_price(), Price::ZERO);
    let least = Price::from_picodollars(1);
    for tariff in [
        Tariff { per_request: least, ..free },
        Tariff { per_gb_second: least, ..free },
        Tariff { per_cpu_ms: least, ..free },
        Tariff { per_gb_egress: least, ..free },
    ] {
        assert!(tariff.reference_price() > Price::ZERO, "{tariff:?}");
    }
}

#[test]
fn billed_time_is_rounded_up_then_at_least_the_minimum() {
    let check = |increment_ms, minimum_ms, wall_us, cold_us, bills_cold_start, billed| {
        let tariff = Tariff { increment_ms, minimum_ms, bills_cold_start, ..lambda() };
        assert_eq!(tariff.billed_ms(&Usage { wall_us, cold_us, cpu_us: 0, egress_bytes: 0 }), billed);
    };
    check(1, 1, 0, 0, true, 1);
    check(1, 1, 1, 0, true, 1);
    check(1, 1, 1_001, 0, true, 2);
    check(100, 100, 100_001, 0, true, 200);
    check(100, 250, 1, 0, true, 250);
    check(1, 0, 1_000, 9_000, true, 10);
    check(1, 0, 1_000, 9_000, false, 1);
}

#[test]
fn cpu_time_is_billed_up_to_wall_time_by_vcpus() {
    let tariff = Tariff { per_request: usd(0), per_gb_second: usd(0), per_cpu_ms: usd(7), ..lambda() };
    let check = |vcpus_milli, cpu_us, cost| {
        let usage = Usage { wall_us: 10_000, cpu_us, cold_us: 0, egress_bytes: 0 };
        assert_eq!(tariff.cost(128, vcpus_milli, &usage).picodollars(), cost);
    };
    check(1000, 2_001, 21);
    check(1000, 99_000, 70);
    check(2000, 99_000, 140);
    check(500, 99_000, 35);
}

#[test]
fn cpu_time_is_capped_in_microseconds_then_rounded_up() {
    let check = |wall_us, vcpus_milli, cpu_us, cpu_ms| {
        let usage = Usage { wall_us, cpu_us, cold_us: 5_000_000, egress_bytes: 0 };
        assert_eq!(Tariff::cpu_ms(vcpus_milli, &usage), cpu_ms, "{cpu_us} us of {wall_us} us x {vcpus_milli}");
        let tariff = Tariff { per_request: usd(0), per_gb_second: usd(0), per_cpu_ms: usd(7), ..lambda() };
        assert_eq!(tariff.cost(128, vcpus_milli, &usage).picodollars(), 7 * cpu_ms);
    };
    check(400, 500, 0, 0);
    check(400, 500, 1, 1);
    check(400, 500, 200, 1);
    // Beyond the cap of 0.2 ms.
    check(400, 500, 400_000, 1);
    check(0, 64_000, 1_000, 0);
    // A cap of 0.999 us is none: its fraction begins no millisecond.
    check(1, 999, 1_000, 0);
    // 1.0005 ms is 1 ms, 1.001 ms are 2.
    check(2_001, 500, 9_000, 1);
    check(2_002, 500, 9_000, 2);
    check(41_000, 583, 99_000, 24);
    check(10_000, 1_000, 9_001, 10);
    check(10_000, 1_000, 10_000, 10);
    check(10_000, 2_000, 10_001, 11);
}

#[test]
fn egress_is_billed_by_the_byte_of_a_gb() {
    let tariff = Tariff { per_request: usd(0), per_gb_second: usd(0), per_gb_egress: usd(90_000_000_000), ..lambda() };
    let usage = |egress_bytes| Usage { egress_bytes, ..ran(0) };
    assert_eq!(tariff.cost(128, 1000, &usage(1 << 30)).to_string(), "0.09");
    assert_eq!(tariff.cost(128, 1000, &usage(1)).picodollars(), 84);
}

#[test]
fn metering_bills_the_least_of_report_observation_and_timeout() {
    let check = |reported: Option<(u64, u64)>, observed_us, timeout_ms, wall_us, cold_us| {
        let reported = reported.map(|(wall_us, cold_us)| Usage { cold_us, ..ran(wall_us) });
        let metered = Usage::metered(reported, observed_us, timeout_ms, 0, 7);
        assert_eq!((metered.usage.wall_us, metered.usage.cold_us), (wall_us, cold_us));
        assert_eq!(metered.estimated, reported.is_none());
        assert!(metered.estimated == (metered.usage.cpu_us == 7), "{metered:?}");
    };
    check(Some((40_000, 1_000)), 50_000, 3_000, 40_000, 1_000);
    check(Some((90_000, 1_000)), 50_000, 3_000, 50_000, 0);
    check(Some((40_000, 20_000)), 50_000, 3_000, 40_000, 10_000);
    check(Some((9_000_000, 0)), 9_000_000, 3_000, 3_000_000, 0);
    check(None, 50_000, 3_000, 50_000, 0);
}

#[test]
fn amounts_refuse_what_is_not_money() {
    let error = |text: &str| text.parse::<Money>().unwrap_err().to_string();
    assert!(error("abc").contains("not a decimal"));
    assert!(error("-1").contains("negative"));
    assert!(error("0.0000000000001").contains("finer"));
    assert!(error("9000001").contains("more than"));
    assert_eq!("-0".parse::<Money>(), Ok(Money::ZERO));
    assert_eq!("0.00050".parse::<Money>().unwrap().to_string(), "0.0005");
    assert_eq!(Balance::from_picodollars(-1_500_000_000_000).to_string(), "-1.5");
}

#[test]
fn tariffs_and_rungs_refuse_what_is_out_of_bounds() {
    let rung = |tariff| Rung {
        id: 1,
        pool: 0,
        capacity_mb: 1,
        tariff,
        vcpus_milli: 1000,
        memory_min_mb: 1,
        memory_max_mb: 1024,
        longest_ms: 60_000,
        enforces_timeout: true,
        labels: Default::default(),
        audience: Vec::new(),
        quota: None,
        expires: None,
    };
    let dear = Tariff { per_gb_second: usd(1_000_000_000_001), ..lambda() };
    assert!(rung(dear).check().unwrap_err().to_string().contains("per_gb_second is 1.000000000001 USD; at most 1 USD"));
    assert!(rung(Tariff { increment_ms: 0, ..lambda() }).check().is_err());
    assert!(Rung { capacity_mb: 0, ..rung(lambda()) }.check().is_err());
    assert!(Rung { memory_min_mb: 2048, ..rung(lambda()) }.check().is_err());
    assert!(rung(lambda()).check().is_ok());
}

#[test]
fn market_patterns_match_region_and_class_apart() {
    let check = |pattern: &str, market: &str, expected| {
        let pattern: MarketPattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(&market.parse().unwrap()), expected, "{pattern} {market}");
    };
    check("us-*/x86_64", "us-east/x86_64", true);
    check("us-*/x86_64", "eu-west/x86_64", false);
    check("*/wasm", "local/wasm", true);
    check("*/x86_64", "local/wasm", false);
    check("*a*b*/wasm", "xaxbx/wasm", true);
    check("a*a/wasm", "a/wasm", false);
    // A matcher that backtracks over every star would not return.
    check(&format!("{}x/wasm", "*".repeat(31)), "us-east-1-and-more/wasm", false);
}

#[test]
fn names_and_markets_refuse_what_is_malformed() {
    for bad in ["", "-a", "a b", "a/b", "é", &"x".repeat(65)] {
        assert!(bad.parse::<Name>().is_err(), "{bad}");
    }
    for bad in ["", "local", "Local/wasm", "local/", "/wasm", "a/b/c"] {
        assert!(bad.parse::<MarketName>().is_err(), "{bad}");
    }
    assert!("1-x".parse::<LeaseId>().is_err());
    assert_eq!("1-4711".parse::<LeaseId>().unwrap().to_string(), "1-4711");
}

#[test]
fn ports_are_1_to_65535() {
    for (authority, port) in
        [("a", None), ("a:1", Some(1)), ("[::1]", None), ("[::1]:65535", Some(65535)), ("u:p@a:80", Some(80))]
    {
        assert_eq!(port_of(authority), Ok(port), "{authority}");
    }
    for bad in ["a:0", "a:65536", "a:", "[::1]:70000", "a:+80", "a:99999999999999999999", "u@a:0"] {
        assert!(port_of(bad).is_err(), "{bad}");
    }
    assert_eq!(port_of("a:70000").unwrap_err().to_string(), "the port `70000` is not 1 to 65535");
}

#[test]
fn times_are_rfc_3339_in_utc() {
    let time: Time = "2026-11-23T10:00:00.041Z".parse().unwrap();
    assert_eq!(time.to_string(), "2026-11-23T10:00:00.041Z");
    assert!("yesterday".parse::<Time>().is_err());
}

prop_compose! {
    fn tariffs()(
        per_request in 0..=Tariff::MAX_PER_REQUEST.picodollars(),
        per_gb_second in 0..=Tariff::MAX_PER_GB_SECOND.picodollars(),
        per_cpu_ms in 0..=Tariff::MAX_PER_CPU_MS.picodollars(),
        per_gb_egress in 0..=Tariff::MAX_PER_GB_EGRESS.picodollars(),
        increment_ms in 1..=Tariff::MAX_STEP_MS,
        minimum_ms in 0..=Tariff::MAX_STEP_MS,
        memory_step_mb in 1..=MEMORY_MAX_MB,
        bills_cold_start: bool,
    ) -> Tariff {
        Tariff {
            per_request: usd(per_request), per_gb_second: usd(per_gb_second), per_cpu_ms: usd(per_cpu_ms),
            per_gb_egress: usd(per_gb_egress), increment_ms, minimum_ms, memory_step_mb, bills_cold_start,
        }
    }
}

prop_compose! {
    fn usages()(
        wall_us in 0..3_600_000_000u64, cpu_us: u64, cold_us in 0..3_600_000_000u64,
        egress_bytes in 0..=EGRESS_MAX_BYTES,
    ) -> Usage {
        Usage { wall_us, cpu_us, cold_us, egress_bytes }
    }
}

proptest! {
    #[test]
    fn cost_is_monotone_in_memory_time_and_rates(
        tariff in tariffs(), usage in usages(), memory_mb in 1..MEMORY_MAX_MB, vcpus_milli in 1..VCPUS_MAX_MILLI,
        more in 0..100_000u64,
    ) {
        let cost = |t: &Tariff, m: u32, u: &Usage| t.cost(m, vcpus_milli, u);
        let base = cost(&tariff, memory_mb, &usage);
        prop_assert!(cost(&tariff, memory_mb + 1, &usage) >= base);
        for used_more in [
            Usage { wall_us: usage.wall_us + more, ..usage },
            Usage { cold_us: usage.cold_us + more, ..usage },
            Usage { egress_bytes: usage.egress_bytes + more, ..usage },
        ] {
            prop_assert!(cost(&tariff, memory_mb, &used_more) >= base);
        }
        prop_assert!(tariff.cost(memory_mb, vcpus_milli + 1, &usage) >= base);
        let dearer = Tariff { per_gb_second: usd(tariff.per_gb_second.picodollars() + more), ..tariff };
        prop_assert!(cost(&dearer, memory_mb, &usage) >= base);
    }

    #[test]
    fn the_dearest_checked_call_is_far_below_the_maximum(tariff in tariffs(), usage in usages()) {
        prop_assert!(tariff.check().is_ok());
        let cost = tariff.cost(MEMORY_MAX_MB, VCPUS_MAX_MILLI, &usage);
        prop_assert!(cost.picodollars() < Money::MAX.picodollars() / 10);
    }

    #[test]
    fn cost_never_exceeds_the_worst_case_of_its_lease(
        tariff in tariffs(), usage in usages(), memory_mb in 1..=MEMORY_MAX_MB, vcpus_milli in 1..=VCPUS_MAX_MILLI,
        timeout_ms in 1..=TIMEOUT_MAX_MS, observed_us: u64,
    ) {
        let metered = Usage::metered(Some(usage), observed_us, timeout_ms, usage.egress_bytes, 0).usage;
        let worst = tariff.worst_case(memory_mb, vcpus_milli, timeout_ms, usage.egress_bytes);
        prop_assert!(tariff.cost(memory_mb, vcpus_milli, &metered) <= worst);
    }

    #[test]
    fn the_cut_timeout_is_the_longest_the_max_cost_buys(
        tariff in tariffs(), memory_mb in 1..=MEMORY_MAX_MB, timeout_ms in 1..=TIMEOUT_MAX_MS,
        max_cost in 0..1_000_000_000_000_000u64,
    ) {
        let max_cost = Money::from_picodollars(max_cost).unwrap();
        let worst = |ms| tariff.worst_case(memory_mb, 1000, ms, 1000);
        match tariff.longest_within(max_cost, memory_mb, 1000, timeout_ms, 1000) {
            None => prop_assert!(worst(1) > max_cost),
            Some(ms) => {
                prop_assert!(worst(ms) <= max_cost && ms <= timeout_ms);
                prop_assert!(ms == timeout_ms || worst(ms + 1) > max_cost);
            }
        }
    }

    #[test]
    fn amounts_round_trip_through_text(picodollars in 0..=Money::MAX.picodollars()) {
        let money = Money::from_picodollars(picodollars).unwrap();
        prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        let json = serde_json::to_string(&money).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
    }

    #[test]
    fn times_round_trip_through_text(micros in 0..=Time::MAX.micros()) {
        let time = Time::from_micros(micros);
        prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
    }

    #[test]
    fn a_fee_is_never_more_than_the_cost(picodollars in 0..=Money::MAX.picodollars(), basis_points: u32) {
        let cost = Money::from_picodollars(picodollars).unwrap();
        prop_assert!(cost.share(basis_points) <= cost);
        prop_assert_eq!(cost.times_eighths(8), cost);
        prop_assert!(cost.times_eighths(basis_points.max(8)) >= cost);
    }
}

#[test]
fn every_refusal_code_is_read_from_its_text() {
    for code in RefusalCode::ALL {
        assert_eq!(code.as_str().parse(), Ok(code));
    }
    assert!("no_such_code".parse::<RefusalCode>().is_err());
}
