//! Chance from a seed: the same on every machine and in every version of the compiler.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed ^ 0x6f75_7472_6964_6572);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to below `high`; `low` if there is nothing between.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % high.saturating_sub(low).max(1)
    }

    /// One of `count` things.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.between(0, count as u64)).unwrap()
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.per_mille(chance * 10)
    }

    pub fn per_mille(&mut self, chance: u64) -> bool {
        // No draw where nothing is open: most messages go through a network without faults.
        chance > 0 && self.between(0, 1000) < chance
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }
}
