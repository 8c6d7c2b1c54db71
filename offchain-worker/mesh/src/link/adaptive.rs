//! When compressing pays on a link.
//!
//! With a link that delivers `L` bytes/s, a compressor that eats `C` bytes/s and leaves the share `r`, one byte costs `1/L` seconds
//! plain and `1/C + r/L` packed. Packing pays when the second is smaller, that is when `L < C (1 - r)`. All three are measured on
//! this very link and forgotten slowly: `L` from the peer's acknowledgements while a body is on its way, `C` and `r` from the
//! blocks that were packed, or from samples while packing is off. Sealed and already packed bodies do not shrink; a short prefix
//! tells, and after a row of such bodies most are not even tried.
//!
//! Everything here is a pure function of what it is told; time is given by the caller.

use std::time::Duration;

/// Bodies below this are never packed: a zstd frame's fixed bytes and calls cost more.
pub(super) const WORTH: usize = 1024;
/// Length of the prefix that is tried first.
pub(super) const PREFIX: usize = 4 * 1024;
/// Length of a sample that measures the compressor while packing is off.
pub(super) const SAMPLE: usize = 16 * 1024;
/// Share of the plain length above which a packed block is not used.
const USEFUL: f64 = 0.95;
/// Packing goes on when it is better by this factor, and off when it is no longer better at all.
const MARGIN: f64 = 1.15;
/// Age after which a measured compressor or a link measured under packing is measured again.
const REPROBE: Duration = Duration::from_secs(20);
/// Shortest body that measures a link in the plain.
const PLAIN_PROBE: usize = 192 * 1024;
/// Weight of a new measurement.
const GAIN: f64 = 0.25;
/// What is left of the remembered peak with each measurement.
const PEAK_DECAY: f64 = 0.95;
/// Most bodies in a row that are sent plain without a try after failures: 2^6 - 1.
const BACKOFF_MAX: u32 = 6;

/// How a link compresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Never.
    Off,
    /// zstd at this level (1 is the best choice for links, negative levels are faster), when measurements say that it pays.
    Adaptive { level: i32 },
    /// zstd at this level for everything that shrinks, whatever the link delivers. For measurements and tests.
    Always { level: i32 },
}

impl Compression {
    pub(super) fn level(self) -> i32 {
        match self {
            Self::Off => 1,
            Self::Adaptive { level } | Self::Always { level } => level,
        }
    }
}

/// What to do with a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Send it plain.
    Plain,
    /// Pack a sample of it to measure the compressor ([`Adaptive::sampled`]), then ask again.
    Sample,
    /// Pack its prefix ([`Adaptive::tried`]), and the rest if that shrank.
    Try,
}

/// The memory of one link's sending direction.
pub(super) struct Adaptive {
    mode: Compression,
    link: Option<f64>,
    peak: f64,
    compressor: Option<f64>,
    ratio: Option<f64>,
    sampled_at: Option<Duration>,
    link_at: Duration,
    active: bool,
    failures: u32,
    skip: u32,
}

fn blend(old: Option<f64>, new: f64) -> f64 {
    old.map_or(new, |old| old + GAIN * (new - old))
}

impl Adaptive {
    pub fn new(mode: Compression) -> Self {
        Self {
            mode,
            link: None,
            peak: 0.0,
            compressor: None,
            ratio: None,
            sampled_at: None,
            link_at: Duration::ZERO,
            active: matches!(mode, Compression::Always { .. }),
            failures: 0,
            skip: 0,
        }
    }

    /// Bytes a second that the link delivers, if known.
    pub fn link(&self) -> Option<f64> {
        self.link
    }

    /// The fastest that the link was of late. What slows a single measurement, like a busy machine at the other end, hardly lowers it.
    pub fn peak(&self) -> Option<f64> {
        self.link.map(|link| link.max(self.peak))
    }

    /// Bytes a second that the compressor eats, if known.
    pub fn compressor(&self) -> Option<f64> {
        self.compressor
    }

    /// Share that packing leaves of what shrinks at all, if known.
    pub fn ratio(&self) -> Option<f64> {
        self.ratio
    }

    /// Whether bodies are packed now.
    pub fn active(&self) -> bool {
        self.active
    }

    /// What to do with a body of `len` bytes at time `now` (since the link began).
    pub fn plan(&mut self, len: usize, now: Duration) -> Plan {
        if len < WORTH || self.mode == Compression::Off {
            return Plan::Plain;
        }
        if matches!(self.mode, Compression::Adaptive { .. }) {
            if self.link.is_none() {
                return Plan::Plain;
            }
            let stale = self.sampled_at.is_none_or(|at| now.saturating_sub(at) >= REPROBE);
            if stale && len >= PREFIX {
                return Plan::Sample;
            }
            self.decide();
            if !self.active {
                return Plan::Plain;
            }
            // What is delivered while packing is on may be the compressor's pace: look at the link itself now and then.
            if len >= PLAIN_PROBE && now.saturating_sub(self.link_at) >= REPROBE {
                self.link_at = now;
                return Plan::Plain;
            }
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Plan::Plain;
        }
        Plan::Try
    }

    fn decide(&mut self) {
        let (Some(link), Some(compressor), Some(ratio)) = (self.link, self.compressor, self.ratio) else {
            self.active = false;
            return;
        };
        let plain = 1.0 / link;
        let packed = 1.0 / compressor + ratio / link;
        self.active = if self.active {
            packed < plain
        } else {
            packed * MARGIN < plain
        };
    }

    /// A sample of `plain` bytes became `packed` bytes in `took`.
    pub fn sampled(&mut self, plain: usize, packed: usize, took: Duration, now: Duration) {
        self.sampled_at = Some(now);
        self.speed(plain, took);
        // A sample that does not shrink says that this body does not, not that the link's other bodies do not.
        if (packed as f64) < plain as f64 * USEFUL {
            self.ratio = Some(blend(self.ratio, packed as f64 / plain as f64));
        }
    }

    /// A prefix was tried; returns whether the body is to be packed.
    pub fn tried(&mut self, plain: usize, packed: usize) -> bool {
        let useful = (packed as f64) < plain as f64 * USEFUL;
        if useful {
            self.failures = 0;
        } else {
            self.failures = (self.failures + 1).min(BACKOFF_MAX);
            self.skip = (1 << self.failures) - 1;
        }
        useful
    }

    /// A block was packed; returns whether the packed form is to be sent.
    pub fn packed(&mut self, plain: usize, packed: usize, took: Duration, now: Duration) -> bool {
        let useful = (packed as f64) < plain as f64 * USEFUL;
        if useful {
            self.sampled_at = Some(now);
            self.speed(plain, took);
            self.ratio = Some(blend(self.ratio, packed as f64 / plain as f64));
        }
        useful
    }

    fn speed(&mut self, plain: usize, took: Duration) {
        // The clock's grain, not the compressor, when it took no time at all.
        let seconds = took.as_secs_f64().max(1e-7);
        self.compressor = Some(blend(self.compressor, plain as f64 / seconds));
    }

    /// The peer acknowledged `bytes` (as they were on the wire) within `elapsed`; in that time the compressor worked for `packing`.
    pub fn delivered(&mut self, bytes: usize, elapsed: Duration, packing: Duration, now: Duration) {
        let seconds = elapsed.as_secs_f64();
        if bytes == 0 || seconds <= 0.0 {
            return;
        }
        let rate = bytes as f64 / seconds;
        self.peak = rate.max(self.peak * PEAK_DECAY);
        // The compressor held the link up: the link is at least that fast.
        if packing.as_secs_f64() > seconds / 3.0 {
            if self.link.is_none_or(|link| rate > link) {
                self.link = Some(rate);
            }
            return;
        }
        self.link = Some(blend(self.link, rate));
        if packing.is_zero() {
            self.link_at = now;
        }
    }
}

/// Measures what a link delivers from acknowledgements while something is under way.
///
/// The first acknowledgement of a busy time only starts the clock, so the way there and back is not counted as slowness. When there
/// is only one, the shortest round trip known is taken off.
pub(super) struct Meter {
    in_flight: usize,
    began: Duration,
    since: Option<Duration>,
    bytes: usize,
    packing: Duration,
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Delivered {
    pub bytes: usize,
    pub elapsed: Duration,
    pub packing: Duration,
}

/// Least that a measurement needs.
const METER_BYTES: usize = 48 * 1024;
const METER_BYTES_ONE: usize = 16 * 1024;
const METER_TIME: Duration = Duration::from_micros(200);
/// Long transfers are measured piece by piece.
const METER_LONG: Duration = Duration::from_millis(20);

impl Meter {
    pub fn new() -> Self {
        Self {
            in_flight: 0,
            began: Duration::ZERO,
            since: None,
            bytes: 0,
            packing: Duration::ZERO,
        }
    }

    /// Bytes sent and not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn sent(&mut self, bytes: usize, now: Duration) {
        if self.in_flight == 0 {
            self.began = now;
        }
        self.in_flight += bytes;
    }

    /// The compressor worked.
    pub fn packing(&mut self, took: Duration) {
        self.packing += took;
    }

    /// The peer acknowledged `bytes`. A measurement comes out at the end of a busy time and every now and then within.
    pub fn acknowledged(&mut self, bytes: usize, now: Duration, rtt: Option<Duration>) -> Option<Delivered> {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        let idle = self.in_flight == 0;
        let Some(since) = self.since else {
            if !idle {
                self.start(now);
                return None;
            }
            let Some(rtt) = rtt else {
                self.packing = Duration::ZERO;
                return None;
            };
            let elapsed = now.saturating_sub(self.began).saturating_sub(rtt);
            // Below that, what is left is the round trip's own noise.
            let clear = bytes >= METER_BYTES_ONE && elapsed >= METER_TIME && elapsed >= rtt / 2;
            let packing = std::mem::take(&mut self.packing);
            return clear.then_some(Delivered {
                bytes,
                elapsed,
                packing,
            });
        };
        self.bytes += bytes;
        let elapsed = now.saturating_sub(since);
        let enough = self.bytes >= METER_BYTES && elapsed >= METER_TIME;
        let delivered = Delivered {
            bytes: self.bytes,
            elapsed,
            packing: self.packing,
        };
        if idle {
            self.since = None;
            self.packing = Duration::ZERO;
        } else if enough && elapsed >= METER_LONG {
            self.start(now);
        } else {
            return None;
        }
        enough.then_some(delivered)
    }

    fn start(&mut self, now: Duration) {
        self.since = Some(now);
        self.bytes = 0;
        self.packing = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: f64 = 1e6;
    const LEVEL: Compression = Compression::Adaptive { level: 1 };

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    /// A world with a link of `link` bytes/s and a compressor of `speed` bytes/s that leaves `ratio`.
    struct World {
        adaptive: Adaptive,
        now: f64,
        link: f64,
        speed: f64,
        ratio: f64,
    }

    impl World {
        fn new(link: f64, speed: f64, ratio: f64) -> Self {
            Self {
                adaptive: Adaptive::new(LEVEL),
                now: 1.0,
                link,
                speed,
                ratio,
            }
        }

        /// Sends one body; returns whether it went packed.
        fn body(&mut self, len: usize) -> bool {
            let mut plan = self.adaptive.plan(len, secs(self.now));
            let packed = |len: usize, ratio: f64| (len as f64 * ratio) as usize;
            if plan == Plan::Sample {
                let took = SAMPLE as f64 / self.speed;
                self.adaptive
                    .sampled(SAMPLE, packed(SAMPLE, self.ratio), secs(took), secs(self.now));
                self.now += took;
                plan = self.adaptive.plan(len, secs(self.now));
                assert_ne!(plan, Plan::Sample);
            }
            let pack = plan == Plan::Try && self.adaptive.tried(PREFIX, packed(PREFIX, self.ratio));
            let took = if pack { len as f64 / self.speed } else { 0.0 };
            if pack {
                self.adaptive
                    .packed(len, packed(len, self.ratio), secs(took), secs(self.now));
            }
            let wire = if pack { packed(len, self.ratio) } else { len };
            let elapsed = (wire as f64 / self.link).max(took);
            self.now += elapsed;
            self.adaptive
                .delivered(wire, secs(elapsed), secs(took), secs(self.now));
            pack
        }

        fn share(&mut self, bodies: usize) -> f64 {
            (0..bodies).filter(|_| self.body(1 << 20)).count() as f64 / bodies as f64
        }
    }

    #[test]
    fn slow_link_packs_fast_link_does_not() {
        assert!(World::new(5.0 * MB, 400.0 * MB, 0.4).share(100) > 0.95);
        assert_eq!(World::new(1000.0 * MB, 400.0 * MB, 0.4).share(100), 0.0);
    }

    #[test]
    fn the_border_is_where_the_formula_says() {
        // C (1 - r) = 240 MB/s.
        assert_eq!(World::new(260.0 * MB, 400.0 * MB, 0.4).share(200), 0.0);
        assert!(World::new(150.0 * MB, 400.0 * MB, 0.4).share(200) > 0.9);
    }

    #[test]
    fn bodies_that_do_not_shrink_are_hardly_tried() {
        let mut world = World::new(5.0 * MB, 400.0 * MB, 0.4);
        world.share(10);
        world.ratio = 1.0;
        let tries = (0..1000)
            .filter(|_| {
                let plan = world.adaptive.plan(1 << 16, secs(world.now));
                if plan == Plan::Try {
                    assert!(!world.adaptive.tried(PREFIX, PREFIX + 20));
                }
                plan == Plan::Try
            })
            .count();
        assert!((10..40).contains(&tries), "{tries}");
        // And they are found again when they do shrink.
        world.ratio = 0.3;
        assert!(world.share(300) > 0.5);
    }

    #[test]
    fn incompressible_from_the_start_stays_plain() {
        assert_eq!(World::new(5.0 * MB, 400.0 * MB, 1.0).share(500), 0.0);
    }

    #[test]
    fn a_link_that_gets_fast_is_noticed() {
        let mut world = World::new(5.0 * MB, 400.0 * MB, 0.4);
        assert!(world.share(50) > 0.9);
        world.link = 2000.0 * MB;
        world.now += 25.0;
        for _ in 0..20 {
            world.body(1 << 20);
            world.now += 25.0;
        }
        assert!(!world.adaptive.active(), "{:?}", world.adaptive.link());
        world.link = 5.0 * MB;
        assert!(world.share(50) > 0.5);
    }

    #[test]
    fn unknown_link_small_bodies_and_off_are_plain() {
        let mut adaptive = Adaptive::new(LEVEL);
        assert_eq!(adaptive.plan(1 << 20, secs(1.0)), Plan::Plain);
        adaptive.delivered(1 << 20, secs(1.0), Duration::ZERO, secs(2.0));
        assert_eq!(adaptive.plan(WORTH - 1, secs(2.0)), Plan::Plain);
        assert_eq!(adaptive.plan(1 << 20, secs(2.0)), Plan::Sample);
        let mut off = Adaptive::new(Compression::Off);
        off.delivered(1 << 20, secs(1.0), Duration::ZERO, secs(2.0));
        assert_eq!(off.plan(1 << 20, secs(2.0)), Plan::Plain);
        assert_eq!(
            Adaptive::new(Compression::Always { level: 3 }).plan(1 << 20, secs(0.0)),
            Plan::Try
        );
    }

    #[test]
    fn a_compressor_bound_time_only_raises_the_link() {
        let mut adaptive = Adaptive::new(LEVEL);
        adaptive.delivered(100, secs(1.0), secs(0.0), secs(1.0));
        adaptive.delivered(50, secs(1.0), secs(0.9), secs(2.0));
        assert_eq!(adaptive.link(), Some(100.0));
        assert_eq!(adaptive.peak(), Some(100.0));
        adaptive.delivered(300, secs(1.0), secs(0.9), secs(3.0));
        assert_eq!(adaptive.link(), Some(300.0));
        adaptive.delivered(0, secs(1.0), secs(0.0), secs(3.0));
        adaptive.delivered(5, secs(0.0), secs(0.0), secs(3.0));
        assert_eq!(adaptive.link(), Some(300.0));
    }

    #[test]
    fn the_peak_fades_slowly() {
        let mut adaptive = Adaptive::new(LEVEL);
        assert_eq!(adaptive.peak(), None);
        adaptive.delivered(1000, secs(1.0), secs(0.0), secs(1.0));
        adaptive.delivered(100, secs(1.0), secs(0.0), secs(2.0));
        assert_eq!(adaptive.peak(), Some(950.0));
        for _ in 0..200 {
            adaptive.delivered(100, secs(1.0), secs(0.0), secs(3.0));
        }
        assert!(adaptive.peak().unwrap() < 101.0);
    }

    #[test]
    fn the_way_there_and_back_is_not_slowness() {
        let mut meter = Meter::new();
        meter.sent(256 * 1024, secs(0.0));
        // 100 ms of distance, then 64 KiB every millisecond.
        assert_eq!(meter.acknowledged(64 * 1024, secs(0.100), None), None);
        assert_eq!(meter.acknowledged(64 * 1024, secs(0.101), None), None);
        assert_eq!(meter.acknowledged(64 * 1024, secs(0.102), None), None);
        let last = meter.acknowledged(64 * 1024, secs(0.103), None).unwrap();
        assert_eq!(last.bytes, 192 * 1024);
        assert!(last.elapsed.abs_diff(secs(0.003)) < secs(0.0001));
        assert_eq!(meter.in_flight(), 0);
        // A time without anything under way is not counted.
        meter.sent(10, secs(8.0));
        assert_eq!(meter.acknowledged(10, secs(9.0), None), None);
    }

    #[test]
    fn one_acknowledgement_is_enough_on_a_slow_link() {
        let rtt = Some(secs(0.02));
        let mut meter = Meter::new();
        meter.sent(50_000, secs(1.0));
        let one = meter.acknowledged(50_000, secs(1.07), rtt).unwrap();
        assert!(one.elapsed.abs_diff(secs(0.05)) < secs(0.0001));
        meter.sent(50_000, secs(2.0));
        assert_eq!(
            meter.acknowledged(50_000, secs(2.021), rtt),
            None,
            "fast: the round trip hides it"
        );
        meter.sent(50_000, secs(3.0));
        assert_eq!(meter.acknowledged(50_000, secs(3.07), None), None);
    }

    #[test]
    fn long_transfers_are_measured_in_pieces() {
        let mut meter = Meter::new();
        meter.sent(100 << 20, secs(0.0));
        let pieces = (1..=200)
            .filter_map(|i| meter.acknowledged(64 * 1024, secs(0.001 * f64::from(i)), None))
            .count();
        assert!((8..=10).contains(&pieces), "{pieces}");
    }
}
