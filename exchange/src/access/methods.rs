//! The roles that each method of the protocol admits, in one table. A method that is not in it admits nobody.
//!
//! It never looks at a request: a method itself checks whose objects the request names.

use merit_terms::Role;
use tonic::Status;

use super::identity::Identity;

/// The callers that a method admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Every caller, also without a key.
    Anybody,
    /// Every holder of a key.
    Holders,
    /// Clients, and brokers for them.
    Clients,
    /// Holders of all keys but providers': those that own functions, or see all.
    Owners,
    /// Operators, and brokers for them.
    Operators,
    /// Providers, operators, and brokers for them.
    Sellers,
    Brokers,
}

const TABLE: [(&str, Access); 50] = [
    ("/merit.v1.MarketData/Subscribe", Access::Anybody),
    ("/merit.v1.MarketData/ListMarkets", Access::Anybody),
    ("/merit.v1.MarketData/GetBook", Access::Anybody),
    ("/merit.v1.MarketData/ListTrades", Access::Anybody),
    ("/merit.v1.MarketData/ListCandles", Access::Anybody),
    ("/merit.v1.Registry/PutFunction", Access::Owners),
    ("/merit.v1.Registry/GetFunction", Access::Owners),
    ("/merit.v1.Registry/ListFunctions", Access::Owners),
    ("/merit.v1.Registry/DeleteFunction", Access::Owners),
    ("/merit.v1.Registry/PutAlias", Access::Owners),
    ("/merit.v1.Registry/ListProviders", Access::Holders),
    ("/merit.v1.Registry/SetTargets", Access::Sellers),
    ("/merit.v1.Registry/GetAccount", Access::Holders),
    ("/merit.v1.Registry/ListAccounts", Access::Operators),
    ("/merit.v1.Brokerage/Stream", Access::Brokers),
    ("/merit.v1.Brokerage/Quote", Access::Clients),
    ("/merit.v1.Brokerage/GetInvocation", Access::Clients),
    ("/merit.v1.Archive/ListStatement", Access::Holders),
    ("/merit.v1.Archive/ListInvocations", Access::Clients),
    ("/merit.v1.Archive/ListLogs", Access::Clients),
    ("/merit.v1.Operator/CreateMarket", Access::Operators),
    ("/merit.v1.Operator/SetMarket", Access::Operators),
    ("/merit.v1.Operator/DeleteMarket", Access::Operators),
    ("/merit.v1.Operator/OpenAccount", Access::Operators),
    ("/merit.v1.Operator/Deposit", Access::Operators),
    ("/merit.v1.Operator/Payout", Access::Operators),
    ("/merit.v1.Operator/Correct", Access::Operators),
    ("/merit.v1.Operator/FreezeAccount", Access::Operators),
    ("/merit.v1.Operator/SetAccountLimits", Access::Operators),
    ("/merit.v1.Operator/RegisterProvider", Access::Operators),
    ("/merit.v1.Operator/SetProviderLimits", Access::Operators),
    ("/merit.v1.Operator/GrantLabels", Access::Operators),
    ("/merit.v1.Operator/KillProvider", Access::Operators),
    ("/merit.v1.Operator/ReviveProvider", Access::Operators),
    ("/merit.v1.Operator/GetClock", Access::Operators),
    ("/merit.v1.Operator/AcceptClock", Access::Operators),
    ("/merit.v1.Operator/GetDisk", Access::Operators),
    ("/merit.v1.Operator/SetFee", Access::Operators),
    ("/merit.v1.Operator/CloseLease", Access::Operators),
    // The key may come with the logon, which checks it.
    ("/merit.v1.ProviderGateway/Session", Access::Anybody),
    ("/merit.v1.Modules/Put", Access::Clients),
    ("/merit.v1.Modules/Get", Access::Holders),
    ("/merit.v1.Modules/GetRevision", Access::Holders),
    ("/merit.v1.Modules/GetReadiness", Access::Clients),
    ("/merit.v1.Keys/CreateKey", Access::Operators),
    ("/merit.v1.Keys/ListKeys", Access::Holders),
    ("/merit.v1.Keys/RevokeKey", Access::Operators),
    ("/merit.v1.Keys/RotateKey", Access::Operators),
    ("/merit.v1.Keys/FindKey", Access::Brokers),
    ("/merit.v1.Keys/WatchKeys", Access::Brokers),
];

impl Access {
    fn of(path: &str) -> Option<Access> {
        TABLE.iter().find(|(method, _)| *method == path).map(|(_, access)| *access)
    }

    fn allows(self, identity: &Identity) -> bool {
        match self {
            Access::Anybody => true,
            Access::Holders => *identity != Identity::Stranger,
            Access::Clients => identity.has(Role::Client) || identity.has(Role::Broker),
            Access::Owners => identity.is_operator() || identity.has(Role::Client) || identity.has(Role::Broker),
            Access::Operators => identity.is_operator() || identity.has(Role::Broker),
            Access::Sellers => identity.is_operator() || identity.has(Role::Provider) || identity.has(Role::Broker),
            Access::Brokers => identity.has(Role::Broker),
        }
    }

    const fn whom(self) -> &'static str {
        match self {
            Access::Anybody => "anybody",
            Access::Holders => "whoever shows a key",
            Access::Clients => "clients and brokers",
            Access::Owners => "clients, operators and brokers",
            Access::Operators => "operators and brokers",
            Access::Sellers => "providers, operators and brokers",
            Access::Brokers => "brokers",
        }
    }
}

/// Refuses a caller that a method does not admit. Reflection and health admit everybody.
pub(super) fn admit(path: &str, identity: &Identity) -> Result<(), Status> {
    if !path.starts_with("/merit.") {
        return Ok(());
    }
    let access = Access::of(path).ok_or_else(|| Status::unimplemented("there is no such method"))?;
    match (access.allows(identity), identity) {
        (true, _) => Ok(()),
        (false, Identity::Stranger) => Err(Status::unauthenticated(
            "a key is needed: `authorization: Bearer ID.SECRET`, as `merit keys create` prints it",
        )),
        (false, _) => {
            Err(Status::permission_denied(format!("this is for {}; the key has another role", access.whom())))
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/access/methods.rs"]
mod tests;
