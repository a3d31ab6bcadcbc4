//! What a kind of command is called where people read the journal.

use merit_engine::Command;

/// The name of a command's kind, as in the journal's protocol.
pub fn kind(command: &Command) -> &'static str {
    match command {
        Command::Start { .. } => "start",
        Command::Tick => "tick",
        Command::ActivateRules { .. } => "activate_rules",
        Command::CreateMarket { .. } => "create_market",
        Command::SetMarket { .. } => "set_market",
        Command::OpenAccount { .. } => "open_account",
        Command::Deposit { .. } => "deposit",
        Command::Payout { .. } => "payout",
        Command::Correct(_) => "correct",
        Command::FreezeAccount { .. } => "freeze_account",
        Command::SetAccountLimits { .. } => "set_account_limits",
        Command::SetFee { .. } => "set_fee",
        Command::RegisterProvider(_) => "register_provider",
        Command::SetProviderLimits { .. } => "set_provider_limits",
        Command::GrantLabels { .. } => "grant_labels",
        Command::Kill { .. } => "kill",
        Command::Revive { .. } => "revive",
        Command::PutFunction(_) => "put_function",
        Command::DeleteFunction { .. } => "delete_function",
        Command::PutAlias { .. } => "put_alias",
        Command::Logon(_) => "logon",
        Command::StatePools { .. } => "state_pools",
        Command::Busy { .. } => "busy",
        Command::Quote(_) => "quote",
        Command::CancelAll { .. } => "cancel_all",
        Command::Logout { .. } => "logout",
        Command::Disconnect { .. } => "disconnect",
        Command::Claim { .. } => "claim",
        Command::BrokerLogon { .. } => "broker_logon",
        Command::BrokerLost { .. } => "broker_lost",
        Command::Acquire(_) => "acquire",
        Command::Defer(_) => "defer",
        Command::TakeUp { .. } => "take_up",
        Command::CancelBid { .. } => "cancel_bid",
        Command::Settle(_) => "settle",
        Command::SettleForgotten(_) => "settle_forgotten",
        Command::Release { .. } => "release",
        Command::CloseLease { .. } => "close_lease",
    }
}
