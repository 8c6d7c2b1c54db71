//! Proof of Compute against cheats, liars and bad networks.
//!
//! Draws, sketches and counts are the ones of `llmesh-proofs`, which chain and worker run; every probe is a real vector,
//! every sketch a real one. What is simulated is who sits in a committee and what each says ([`audits`]). Out of the
//! measured rates follows what each way to cheat is worth ([`economy`]). Everything follows from one seed.

pub mod audits;
pub mod economy;
pub mod report;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small, and the same numbers
/// with every version of every library.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// One stream for each seed and name.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut rng = Self(seed);
        for byte in name.bytes() {
            rng.0 = rng.0.rotate_left(8) ^ u64::from(byte);
            rng.0 = rng.number();
        }
        rng
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `true` with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    pub fn hash(&mut self) -> sp_core::H256 {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.number().to_le_bytes());
        }
        sp_core::H256(bytes)
    }
}
