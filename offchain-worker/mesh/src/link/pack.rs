//! zstd with bounds: one block at a time, both lengths known before.

use super::{
    adaptive::{Adaptive, Compression, PREFIX, Plan, SAMPLE},
    frame::Fault,
};
use std::time::{Duration, Instant};
use zstd::bulk::{Compressor, Decompressor};

/// What the compressor did, for metrics.
#[derive(Clone, Copy, Default)]
pub(super) struct PackStats {
    pub tried: u64,
    pub used: u64,
    pub saved: u64,
    pub time: Duration,
}

/// Compresses blocks; its memory is taken at the first one.
pub(super) struct Packer {
    level: i32,
    zstd: Option<Compressor<'static>>,
    scratch: Vec<u8>,
    pub stats: PackStats,
}

impl Packer {
    pub fn new(mode: Compression) -> Self {
        Self {
            level: mode.level(),
            zstd: None,
            scratch: Vec::new(),
            stats: PackStats::default(),
        }
    }

    /// Packs `plain`; the result is in [`Self::packed`]. Returns its length and the time it took. A failure is a result of no use.
    fn pack(&mut self, plain: &[u8]) -> (usize, Duration) {
        let began = Instant::now();
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        if self.zstd.is_none() {
            self.zstd = Compressor::new(self.level).ok();
        }
        let length = match &mut self.zstd {
            Some(zstd) => zstd
                .compress_to_buffer(plain, &mut self.scratch)
                .unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        let took = began.elapsed();
        self.stats.tried += 1;
        self.stats.time += took;
        (length, took)
    }

    /// The last packed block.
    pub fn packed(&self) -> &[u8] {
        &self.scratch
    }

    /// Whether a body is to be packed, by what the link is like and by a look into the body. The second value is the time it took.
    pub fn choose(&mut self, body: &[u8], adaptive: &mut Adaptive, now: Duration) -> (bool, Duration) {
        let mut time = Duration::ZERO;
        let mut plan = adaptive.plan(body.len(), now);
        if plan == Plan::Sample {
            let sample = middle(body, SAMPLE);
            let (length, took) = self.pack(sample);
            adaptive.sampled(sample.len(), length, took, now);
            time += took;
            plan = adaptive.plan(body.len(), now);
        }
        if plan != Plan::Try {
            return (false, time);
        }
        // A short body is its own try.
        if body.len() <= 2 * PREFIX {
            return (true, time);
        }
        let prefix = middle(body, PREFIX);
        let (length, took) = self.pack(prefix);
        (adaptive.tried(prefix.len(), length), time + took)
    }

    /// Packs one block of a body that [`Self::choose`] chose; true when [`Self::packed`] is to be sent in its place.
    pub fn block(&mut self, plain: &[u8], adaptive: &mut Adaptive, now: Duration) -> (bool, Duration) {
        let (length, took) = self.pack(plain);
        let useful = adaptive.packed(plain.len(), length, took, now);
        if plain.len() <= 2 * PREFIX {
            adaptive.tried(plain.len(), length);
        }
        if useful {
            self.stats.used += 1;
            self.stats.saved += (plain.len() - length) as u64;
        }
        (useful, took)
    }

    /// Gives memory back.
    pub fn shrink(&mut self) {
        self.zstd = None;
        self.scratch = Vec::new();
    }
}

/// The middle `length` bytes: bodies often begin with a header that says little about the rest.
fn middle(body: &[u8], length: usize) -> &[u8] {
    let length = length.min(body.len());
    let start = (body.len() - length) / 2;
    &body[start..start + length]
}

/// Decompresses blocks.
#[derive(Default)]
pub(super) struct Unpacker {
    zstd: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// Appends exactly `plain` bytes to `out`, or nothing. The caller has checked `plain`; zstd never writes beyond it, and a
    /// decompression in one call has no window of its own to allocate.
    pub fn unpack(&mut self, packed: &[u8], plain: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if packed.len() >= plain {
            return Err("packed data that is not smaller");
        }
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(|_| "no memory to decompress")?),
        };
        let start = out.len();
        out.resize(start + plain, 0);
        match zstd.decompress_to_buffer(packed, &mut out[start..]) {
            Ok(length) if length == plain => Ok(()),
            _ => {
                out.truncate(start);
                Err("packed data that does not unpack to its declared length")
            }
        }
    }

    /// Gives memory back.
    pub fn shrink(&mut self) {
        self.zstd = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn always() -> (Packer, Adaptive) {
        let mode = Compression::Always { level: 1 };
        (Packer::new(mode), Adaptive::new(mode))
    }

    proptest! {
        #[test]
        fn blocks_survive(seed in proptest::collection::vec(any::<u8>(), 1..40), len in 64usize..65_000) {
            let plain: Vec<u8> = seed.iter().copied().cycle().take(len).collect();
            let (mut packer, mut adaptive) = always();
            let (useful, _) = packer.block(&plain, &mut adaptive, Duration::ZERO);
            if useful {
                let mut out = vec![9];
                Unpacker::default().unpack(packer.packed(), len, &mut out).unwrap();
                prop_assert_eq!(&out[1..], &plain[..]);
                // A wrong declaration is found, either way.
                let mut out = vec![9];
                prop_assert!(Unpacker::default().unpack(packer.packed(), len - 1, &mut out).is_err());
                prop_assert!(Unpacker::default().unpack(packer.packed(), len + 1, &mut out).is_err());
                prop_assert_eq!(out, [9]);
            }
        }

        #[test]
        fn garbage_is_a_fault(packed in proptest::collection::vec(any::<u8>(), 0..300), plain in 0usize..65_000) {
            let mut out = Vec::new();
            if Unpacker::default().unpack(&packed, plain, &mut out).is_err() {
                prop_assert!(out.is_empty());
            }
        }
    }

    #[test]
    fn random_bytes_are_not_chosen() {
        use rand::RngCore;
        let mut body = vec![0; 200_000];
        rand::rng().fill_bytes(&mut body);
        let (mut packer, mut adaptive) = always();
        assert!(!packer.choose(&body, &mut adaptive, Duration::ZERO).0);
        assert_eq!(packer.stats.used, 0);
        body.fill(1);
        // The next body is skipped after the failure, the one after it is not.
        assert!(!packer.choose(&body, &mut adaptive, Duration::ZERO).0);
        assert!(packer.choose(&body, &mut adaptive, Duration::ZERO).0);
    }
}
