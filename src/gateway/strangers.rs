//! Refusing somebody who shows neither certificate nor token leaves a line in the log: so many a second, and no more, or
//! strangers would fill the disk and crowd out the lines that matter.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::terms::refusal::tolds;
use crate::terms::{Next, Refusal};

tolds! {
    /// Too many refused requests of people nobody knows.
    pub const TOO_MANY = "TB-GW-0105", 429,
        "未登录的无效请求过多，请稍后再试；业务软件请检查证书和登录。",
        "Too many requests without certificate or sign-in: wait a moment, and check the window software's certificate.",
        Next::TryLater;
}

/// Lines a second for one address (an IPv4 address, an IPv6 /64), and at once after quiet.
const EACH: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const EACH_AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
/// The same for all addresses together.
const ALL: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const ALL_AT_ONCE: NonZeroU32 = NonZeroU32::new(4_000).expect("not zero");
/// Addresses remembered before those whose share is whole again are forgotten: one that spoke once, after 50 ms.
const REMEMBERED: usize = 8_192;

/// Counts refusals of strangers, per replica.
pub struct Strangers {
    each: RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock>,
    all: DefaultDirectRateLimiter,
    unlogged: AtomicU64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            each: RateLimiter::keyed(Quota::per_second(EACH).allow_burst(EACH_AT_ONCE)),
            all: RateLimiter::direct(Quota::per_second(ALL).allow_burst(ALL_AT_ONCE)),
            unlogged: AtomicU64::new(0),
        }
    }
}

impl Strangers {
    /// Whether the refusal of somebody at this address may have its line.
    ///
    /// # Errors
    /// `TB-GW-0105`, which has none.
    pub fn take(&self, from: IpAddr) -> Result<(), Refusal> {
        if self.each.len() > REMEMBERED {
            self.each.retain_recent();
        }
        // The own share first: who has used it up takes nothing from the others.
        if self.each.check_key(&network(from)).is_ok() && self.all.check().is_ok() {
            return Ok(());
        }
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::new(&TOO_MANY, "refusals of strangers, at this address or in all").header("retry-after", "10"))
    }

    /// Refusals that have no line.
    pub fn unlogged(&self) -> u64 {
        self.unlogged.load(Ordering::Relaxed)
    }
}

/// An IPv6 host has a whole /64 to speak from.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_one_network_leaves_room_for_others() {
        let strangers = Strangers::default();
        let loud = |n: u32| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, (n >> 16) as u16, n as u16]);
        let lines = (0..20_000).filter(|n| strangers.take(loud(*n)).is_ok()).count();
        assert!((1_000..2_000).contains(&lines), "{lines} lines");
        assert_eq!(strangers.unlogged(), 20_000 - lines as u64);
        assert!(strangers.take(IpAddr::from([198, 51, 100, 7])).is_ok());
    }

    #[test]
    fn networks() {
        for (address, want) in
            [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            assert_eq!(network(address.parse().unwrap()), want.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
