//! The markets as Prometheus reads them: spot price, last price, free memory. Read from the exchange when it asks.

use prometheus::{GaugeVec, IntGaugeVec};

use super::Maker;
use crate::exchange::markets::Market;

/// Picodollars in a dollar.
const PICODOLLARS: f64 = 1e12;
const BYTES_PER_MB: u64 = 1 << 20;

pub(super) struct MarketGauges {
    spot_price: GaugeVec,
    last_price: GaugeVec,
    free_bytes: IntGaugeVec,
}

impl MarketGauges {
    pub(super) fn new(made: &Maker<'_>) -> Result<MarketGauges, prometheus::Error> {
        let price = "Price in USD per GB-s of";
        Ok(MarketGauges {
            spot_price: made.float_gauges(
                "merit_spot_price_usd",
                &format!("{price} the cheapest live public offer with room for the reference call."),
                &["market"],
            )?,
            last_price: made.float_gauges(
                "merit_last_price_usd",
                &format!("{price} the latest public trade."),
                &["market"],
            )?,
            free_bytes: made.gauges(
                "merit_market_free_bytes",
                "Memory that is offered and not leased.",
                &["market"],
            )?,
        })
    }

    /// Shows these markets and no others. A market without a price has no series of it.
    pub(super) fn show(&self, markets: &[Market]) {
        self.spot_price.reset();
        self.last_price.reset();
        self.free_bytes.reset();
        for market in markets {
            let labels = [market.name.as_str()];
            let usd = |price: u64| price as f64 / PICODOLLARS;
            if let Some(price) = market.spot_price {
                self.spot_price.with_label_values(&labels).set(usd(price));
            }
            if let Some(price) = market.last_price {
                self.last_price.with_label_values(&labels).set(usd(price));
            }
            let bytes = market.free_mb.saturating_mul(BYTES_PER_MB);
            self.free_bytes.with_label_values(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}
