//! A provider's session while it is on: reads messages, applies commands, and sends their answers and the news of
//! leases.

use std::time::Duration;

use merit_engine::{Command, Engine, Lease, LeaseState, MarketTerms, Quote, SessionEnding};
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Told;
use merit_proto::v1::provider_message::Message as Heard;
use merit_proto::{FieldError, refusal_status, required};
use merit_terms::{LeaseId, MarketId, PoolSize, ProviderId, Refusal, Rung, Time};
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::access::Identity;
use crate::disk_space::Growth;
use crate::exchange::Exchange;
use crate::messages::{digest_from_proto, market_terms_to_proto, provider_limits_to_proto};
use crate::modules::ModuleReport;
use crate::services::lookup::unavailable;
use crate::services::outgoing::{Gone, Outgoing};
use crate::sessions::providers::{Listening, Over, ProviderNote};

const MISSED_HEARTBEATS_MAX: u32 = 3;

/// Messages to a provider, numbered where they concern more than this session.
pub(super) type ToProvider = Outgoing<v1::ExchangeMessage>;

/// A session that is on.
pub(super) struct OnSession {
    /// The identity that logged on. For an operator's session [`Identity::is_operator`] is true.
    pub(super) caller: Identity,
    pub(super) provider: ProviderId,
    pub(super) session: u32,
    /// The last stated pools.
    pub(super) pools: Vec<PoolSize>,
    pub(super) listening: Listening,
    /// Warm-up requests to send to it.
    pub(super) warm_requests: mpsc::Receiver<v1::WarmModule>,
}

/// The outcome of a message from the provider.
enum Acted {
    Nothing,
    Answer(Told),
    /// The provider has logged out.
    Out,
}

impl Exchange {
    /// Serves the session until its end. Returns the reason.
    pub(super) async fn run_session(
        &self,
        name: &str,
        on: &mut OnSession,
        incoming: &mut Streaming<v1::ProviderMessage>,
        outgoing: &ToProvider,
    ) -> Status {
        let heartbeat = Duration::from_millis(self.0.settings.heartbeat_ms.into());
        if outgoing.tell(numbered(0, Told::Welcome(self.welcome(name, on)))).await.is_err() {
            return Status::cancelled("the provider does not read");
        }
        let mut beat = tokio::time::interval(heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let silence = heartbeat * MISSED_HEARTBEATS_MAX;
        let mut silent_at = tokio::time::Instant::now() + silence;
        loop {
            let told = tokio::select! {
                heard = incoming.message() => match heard {
                    Ok(Some(message)) => {
                        silent_at = tokio::time::Instant::now() + silence;
                        match self.hear(on, message).await {
                            Ok(Acted::Nothing) => Ok(()),
                            Ok(Acted::Answer(answer)) => outgoing.tell(numbered(0, answer)).await,
                            Ok(Acted::Out) => return Status::ok("the provider logged out"),
                            Err(status) => return status,
                        }
                    }
                    Ok(None) => return Status::ok("the provider closed its stream"),
                    Err(status) => return status,
                },
                notes = self.0.projections.sessions.next(&mut on.listening) => match notes {
                    Ok(notes) => self.tell_notes(&notes, outgoing).await,
                    Err(over) => return self.over(on.provider, over),
                },
                Some(request) = on.warm_requests.recv() => {
                    let order = Some(self.warming_order(name, on.session, &request));
                    outgoing.tell(numbered(0, Told::WarmModule(v1::WarmModule { order, ..request }))).await
                }
                _ = beat.tick() => {
                    let beat = v1::ExchangeHeartbeat { at: self.0.sequencer.now().micros() };
                    outgoing.tell(numbered(0, Told::Heartbeat(beat))).await
                }
                () = tokio::time::sleep_until(silent_at) => {
                    return Status::deadline_exceeded(format!("{MISSED_HEARTBEATS_MAX} heartbeats were missed"));
                }
            };
            if told.is_err() {
                return Status::cancelled("the provider does not read");
            }
        }
    }

    fn welcome(&self, name: &str, on: &OnSession) -> v1::Welcome {
        let stands = |engine: &Engine| {
            let leases = engine.open_leases().filter(|lease| lease.provider == on.provider);
            let markets = engine.markets().filter(|(_, market)| market.terms != MarketTerms::default());
            v1::Welcome {
                session: on.session,
                session_key: self.0.key.session_key(name, on.session).to_vec(),
                heartbeat_ms: self.0.settings.heartbeat_ms,
                resumed: on.listening.resumed,
                last_sequence: on.listening.after,
                leases: leases.map(|lease| granted(lease.id, held_mb(lease), lease.capacity_until)).collect(),
                limits: engine.provider(on.provider).map(|provider| provider_limits_to_proto(&provider.limits)),
                markets: markets.map(|(id, market)| market_change(engine, id, &market.terms)).collect(),
                at: self.0.sequencer.now().micros(),
            }
        };
        self.0.sequencer.read(stands)
    }

    async fn tell_notes(&self, notes: &[(u64, ProviderNote)], outgoing: &ToProvider) -> Result<(), Gone> {
        for (number, note) in notes {
            outgoing.tell(numbered(*number, self.told(note))).await?;
        }
        Ok(())
    }

    fn told(&self, note: &ProviderNote) -> Told {
        match *note {
            ProviderNote::Granted { lease, memory_mb, capacity_until } => {
                Told::LeaseGranted(granted(lease, memory_mb, capacity_until))
            }
            ProviderNote::Settled { lease, revenue, sold } => {
                let revenue = revenue.picodollars();
                Told::LeaseSettled(v1::LeaseSettled { lease: Some(lease.into()), revenue, sold })
            }
            ProviderNote::Unknown { lease } => Told::LeaseUnknown(v1::LeaseUnknown { lease: Some(lease.into()) }),
            ProviderNote::Market { market, terms } => {
                Told::MarketState(self.0.sequencer.read(|engine| market_change(engine, market, &terms)))
            }
            ProviderNote::Protected => Told::Protected(v1::OffersProtected {}),
        }
    }

    /// Makes the status of an end that the provider did not ask for.
    fn over(&self, provider: ProviderId, over: Over) -> Status {
        match over {
            Over::Behind => Status::resource_exhausted("the provider reads more slowly than its leases come and go"),
            Over::Ended(SessionEnding::Killed) => {
                let killed = |engine: &Engine| engine.provider(provider)?.killed.clone();
                let reason = self.0.sequencer.read(killed).unwrap_or_default();
                refusal_status(&Refusal::Killed { reason })
            }
            Over::Ended(SessionEnding::Restarted) => Status::unavailable("the exchange restarts"),
            Over::Ended(SessionEnding::Fenced | SessionEnding::Lost | SessionEnding::Logout) => {
                Status::aborted("another session of the provider has logged on")
            }
        }
    }

    /// Handles one message. An error ends the session.
    async fn hear(&self, on: &mut OnSession, message: v1::ProviderMessage) -> Result<Acted, Status> {
        let acted = self.act(on, message).await;
        acted.map_err(|status| match merit_proto::code_of(&status) {
            Some(code) if code == Refusal::NotInSession.code() => self.why_out_of_session(on.provider),
            _ => status,
        })
    }

    /// Finds the reason for which the engine no longer knows a session, before the news of its end.
    fn why_out_of_session(&self, provider: ProviderId) -> Status {
        let is_killed = |engine: &Engine| engine.provider(provider).is_some_and(|provider| provider.killed.is_some());
        let why = if self.0.sequencer.read(is_killed) { SessionEnding::Killed } else { SessionEnding::Fenced };
        self.over(provider, Over::Ended(why))
    }

    async fn act(&self, on: &mut OnSession, message: v1::ProviderMessage) -> Result<Acted, Status> {
        let (provider, session) = (on.provider, on.session);
        let command = match required("message", message.message)? {
            Heard::Logon(_) => return Err(Status::invalid_argument("this session is logged on already")),
            Heard::Heartbeat(heartbeat) => {
                let pools: Vec<PoolSize> = heartbeat.pools.iter().map(Into::into).collect();
                // Also when the statement is unchanged: the provider may have been busy meanwhile.
                if pools == on.pools && !self.0.sequencer.read(|engine| stand_otherwise(engine, provider, &pools)) {
                    return Ok(Acted::Nothing);
                }
                on.pools.clone_from(&pools);
                Command::StatePools { provider, session, pools }
            }
            Heard::Quote(quote) => return self.quote_session(on, quote).await.map(Acted::Answer),
            Heard::CancelAll(_) => Command::CancelAll { provider, session },
            Heard::Busy(busy) => Command::Busy { provider, session, pool: busy.pool },
            Heard::ModuleState(state) => {
                let digest =
                    digest_from_proto(&state.module)?.ok_or_else(|| FieldError::new("module", "is missing"))?;
                if let Some(report) = ModuleReport::read(&state) {
                    self.0.readiness.note(provider, session, digest, report);
                }
                return Ok(Acted::Nothing);
            }
            Heard::Claim(claim) => return self.claim(provider, claim).await.map(Acted::Answer),
            Heard::Logout(_) => {
                self.command(&Command::Logout { provider, session }).await?;
                return Ok(Acted::Out);
            }
        };
        self.command(&command).await.map(|_| Acted::Nothing)
    }

    /// Applies a quote. A refused one leaves the ladder as it was and the session on.
    async fn quote_session(&self, on: &OnSession, quote: v1::QuoteLadder) -> Result<Told, Status> {
        let number = quote.number;
        let refused = |code: &str, message: String, rungs| {
            Ok(Told::QuoteRefused(v1::QuoteRefused { number, code: code.to_owned(), message, rungs }))
        };
        // Quotes take as much of the journal as calls.
        if let Err(low) = self.0.disk.check(Growth::Calls) {
            return refused(low.code().as_str(), low.to_string(), Vec::new());
        }
        let market = match self.market_id(&quote.market) {
            Ok(market) => market,
            Err(status) => return refused("not_found", status.message().to_owned(), Vec::new()),
        };
        let rungs = match quote.rungs.iter().map(Rung::try_from).collect::<Result<Vec<_>, FieldError>>() {
            Ok(rungs) => rungs,
            Err(error) => return refused("invalid", error.to_string(), Vec::new()),
        };
        let command = Command::Quote(Quote { provider: on.provider, session: on.session, market, number, rungs });
        let submitted = self.0.sequencer.submit(&command).map_err(unavailable)?;
        submitted.durable.wait().await.map_err(unavailable)?;
        match submitted.applied.reply {
            Ok(_) => Ok(Told::QuoteAccepted(v1::QuoteAccepted { number })),
            Err(refusal @ Refusal::NotInSession) => Err(refusal_status(&refusal)),
            Err(refusal) => {
                let rungs = match &refusal {
                    Refusal::Rungs { rungs } => rungs.clone(),
                    _ => Vec::new(),
                };
                let rungs = rungs.into_iter().map(|(id, reason)| v1::RungRefused { id, reason });
                refused(refusal.code().as_str(), refusal.to_string(), rungs.collect())
            }
        }
    }

    /// Applies a claim. A refused one leaves the session on.
    async fn claim(&self, provider: ProviderId, claim: v1::UsageClaim) -> Result<Told, Status> {
        let usage = required("usage", claim.usage)?;
        let proof = required("proof", claim.proof)?;
        let claimed = match self.proven(&proof) {
            Ok(terms) if terms.provider != provider => {
                Err(refusal_status(&Refusal::Forbidden { message: "the lease is another provider's".to_owned() }))
            }
            Ok(terms) => self.command(&Command::Claim { lease: terms.lease, usage: (&usage).into() }).await.map(drop),
            Err(status) => Err(status),
        };
        // Also of a refused proof, so that the provider knows the lease.
        let lease = v1::LeaseTerms::decode(proof.terms.as_slice()).ok().and_then(|terms| terms.lease);
        let (code, message) = match &claimed {
            Ok(()) => ("", ""),
            Err(status) => (merit_proto::code_of(status).ok_or_else(|| status.clone())?.as_str(), status.message()),
        };
        let (code, message) = (code.to_owned(), message.to_owned());
        Ok(Told::ClaimAnswered(v1::ClaimAnswered { lease, code, message }))
    }
}

/// Makes a message to a provider; number 0 of this session only.
fn numbered(session_sequence: u64, told: Told) -> v1::ExchangeMessage {
    v1::ExchangeMessage { session_sequence, message: Some(told) }
}

/// Returns the memory that a lease holds; none if it is over its timeout, or if its broker got no answer.
fn held_mb(lease: &Lease) -> u32 {
    match lease.state {
        LeaseState::Offered | LeaseState::Running => lease.memory_mb,
        LeaseState::Overdue | LeaseState::Unknown => 0,
    }
}

fn granted(lease: LeaseId, memory_mb: u32, capacity_until: Time) -> v1::LeaseGranted {
    v1::LeaseGranted { lease: Some(lease.into()), memory_mb, capacity_until: capacity_until.micros() }
}

fn market_change(engine: &Engine, market: MarketId, terms: &MarketTerms) -> v1::MarketChange {
    let name = engine.market(market).map_or_else(String::new, |market| market.name.to_string());
    v1::MarketChange { market: name, terms: Some(market_terms_to_proto(terms)) }
}

/// Returns true if the engine's pools differ from the stated ones.
fn stand_otherwise(engine: &Engine, provider: ProviderId, stated: &[PoolSize]) -> bool {
    engine.pools(provider).iter().zip(stated).any(|(pool, stated)| pool.size != *stated)
}
