//! Rates: how many requests a second one terminal may send. In memory, per replica; daily quotas are the durable ones.

use std::collections::HashMap;
use std::sync::Arc;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use super::contract::{Contract, Contracts, OutletId, Rate, Terminal, TerminalId};
use super::error::PartnerError;

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// One limiter a terminal, keyed by its certificate: never by an address or a header the client wrote.
///
/// Its memory is bounded by the contracts: a terminal nobody enrolled has no limiter, because it gets no further.
#[derive(Debug)]
pub struct Rates<C: Clock = DefaultClock> {
    limiters: HashMap<TerminalId, (Rate, Arc<Limiter<C>>)>,
    clock: C,
}

impl Rates<DefaultClock> {
    /// Limiters for all terminals, each with a full burst.
    pub fn new(contracts: &Contracts) -> Self {
        Self::with_clock(contracts, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    pub fn with_clock(contracts: &Contracts, clock: C) -> Self {
        Self { limiters: HashMap::new(), clock }.reloaded(contracts)
    }

    /// Limiters for new contracts. A terminal whose rate stays the same keeps what it has used: a reload is no pardon.
    #[must_use]
    pub fn reloaded(&self, contracts: &Contracts) -> Self {
        let terminals =
            contracts.iter().flat_map(|contract| contract.terminals.iter().map(move |t| (contract.rate, t)));
        let limiters = terminals.map(|(rate, terminal)| {
            let kept = self.limiters.get(&terminal.id).filter(|(old, _)| *old == rate);
            let limiter = kept.map_or_else(|| self.limiter(rate), |(_, limiter)| Arc::clone(limiter));
            (terminal.id.clone(), (rate, limiter))
        });
        Self { limiters: limiters.collect(), clock: self.clock.clone() }
    }

    fn limiter(&self, rate: Rate) -> Arc<Limiter<C>> {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()))
    }

    /// Takes one request of a terminal.
    ///
    /// # Errors
    /// [`PartnerError::TooFast`] with the wait in milliseconds, for `Retry-After`; [`PartnerError::UnknownTerminal`].
    pub fn take(&self, contract: &Contract, terminal: &Terminal) -> Result<(), PartnerError> {
        let (_, limiter) = self.limiters.get(&terminal.id).ok_or(PartnerError::UnknownTerminal)?;
        limiter.check().map_err(|until| self.too_fast(&contract.outlet, &until))
    }

    fn too_fast(&self, outlet: &OutletId, until: &NotUntil<C::Instant>) -> PartnerError {
        let wait = until.wait_time_from(self.clock.now());
        PartnerError::TooFast { outlet: outlet.clone(), wait_ms: (wait.as_millis() as u64).max(1) }
    }
}
