//! Bit sets of small numbers: a set of thousands of providers is a few words of memory.

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    pub(crate) fn has(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, index: usize, present: bool) {
        if present == self.has(index) {
            return;
        }
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        self.words[index / 64] ^= 1 << (index % 64);
        self.count = if present { self.count + 1 } else { self.count - 1 };
    }

    /// Returns the number of elements.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns the word of the numbers 64 x `index` to 64 x `index` + 63.
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }
}

/// Lists the numbers of the bits set in `word`, the `index`-th word of a set.
pub(crate) fn ones(mut word: u64, index: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            index * 64 + bit
        })
    })
}
