//! The lines of a seller's report.

use super::*;

fn usd(picodollars: i128) -> Balance {
    Balance::from_picodollars(picodollars)
}

#[test]
fn a_line_tells_what_was_sold_since_the_last() {
    let (told, standing) = watch::channel(Standing { session: Some(1), ..Standing::default() });
    let mut report = SalesReport::new("edge-1".to_owned(), 1024, standing);
    told.send_modify(|standing| (standing.sold, standing.revenue) = (3, usd(250_000)));
    for leased_mb in [0, 512, 1024, 512] {
        told.send_modify(|standing| standing.leased_mb = leased_mb);
        report.sample();
    }
    assert_eq!(report.line(), "edge-1 sold 3 calls for 0.00000025 $, 50 % of its memory leased on average");
    told.send_modify(|standing| (standing.sold, standing.revenue, standing.paused) = (4, usd(300_000), true));
    assert_eq!(report.line(), "edge-1 sold 1 call for 0.00000005 $, 0 % of its memory leased on average; paused");
    told.send_modify(|standing| standing.session = None);
    assert!(report.line().ends_with("; not connected"));
    assert!(report.total().starts_with("edge-1 sold 4 calls for 0.0000003 $ in 0:00:0"), "{}", report.total());
    told.send_modify(|standing| standing.claimed = 1);
    assert!(report.total().ends_with("; 1 call claimed and not settled yet"), "{}", report.total());
}
