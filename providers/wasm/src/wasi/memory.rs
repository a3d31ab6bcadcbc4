//! The guest's memory as host calls see it: each access checked, and all accesses of one call within a bound.
//!
//! Never keeps anything of a call for the next.

use std::ops::Range;

/// The most bytes the host copies in one host call, which no epoch interrupts.
const HOST_CALL_BYTES: usize = 64 << 20;

/// Why a host call does not succeed.
pub(super) enum Stop {
    /// The guest is told with this code.
    Errno(i32),
    /// The guest ends.
    Trap(wasmtime::Error),
}

pub(super) type Result<T> = std::result::Result<T, Stop>;

/// An address that the guest gave, and cannot have.
#[derive(Debug, thiserror::Error)]
enum BadPointer {
    #[error("Pointer overflow")]
    Overflow,
    #[error("Pointer out of bounds: {length} bytes at {at}")]
    OutOfBounds { at: u32, length: u32 },
    #[error("Pointer not aligned to {align}: {at}")]
    NotAligned { at: u32, align: u32 },
}

impl From<BadPointer> for Stop {
    fn from(bad: BadPointer) -> Stop {
        Stop::Trap(bad.into())
    }
}

/// The memory during one host call.
pub(super) struct Memory<'a> {
    bytes: &'a mut [u8],
    /// Bytes that may still be copied.
    left: usize,
}

impl<'a> Memory<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Memory<'a> {
        Memory { bytes, left: HOST_CALL_BYTES }
    }

    /// Counts bytes that are to be copied. Refuses those beyond the bound of one call.
    pub(super) fn count(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Stop::Errno(super::NO_MEMORY))?;
        Ok(())
    }

    pub(super) fn slice(&self, at: u32, length: u32) -> Result<&[u8]> {
        Ok(&self.bytes[self.range(at, length)?])
    }

    pub(super) fn slice_mut(&mut self, at: u32, length: u32) -> Result<&mut [u8]> {
        let range = self.range(at, length)?;
        Ok(&mut self.bytes[range])
    }

    /// Reads a number in little-endian order.
    pub(super) fn read<const BYTES: usize>(&self, at: u32) -> Result<[u8; BYTES]> {
        let range = self.aligned(at, BYTES as u32)?;
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(bytes)
    }

    /// Writes a number in little-endian order.
    pub(super) fn write<const BYTES: usize>(&mut self, at: u32, bytes: [u8; BYTES]) -> Result<()> {
        let range = self.aligned(at, BYTES as u32)?;
        self.bytes[range].copy_from_slice(&bytes);
        Ok(())
    }

    fn aligned(&self, at: u32, align: u32) -> Result<Range<usize>> {
        let range = self.range(at, align)?;
        if !at.is_multiple_of(align) {
            return Err(BadPointer::NotAligned { at, align }.into());
        }
        Ok(range)
    }

    fn range(&self, at: u32, length: u32) -> Result<Range<usize>> {
        let end = at as usize + length as usize;
        if end > self.bytes.len() {
            return Err(BadPointer::OutOfBounds { at, length }.into());
        }
        Ok(at as usize..end)
    }
}

/// Returns the address of an element of `size` bytes in an array.
pub(super) fn element(array: u32, index: u32, size: u32) -> Result<u32> {
    behind(array, index.checked_mul(size).ok_or(BadPointer::Overflow)?)
}

/// Returns the address that many bytes behind another.
pub(super) fn behind(at: u32, bytes: u32) -> Result<u32> {
    Ok(at.checked_add(bytes).ok_or(BadPointer::Overflow)?)
}
