//! A guest's stdin, stdout and stderr: the only descriptors it ever has.

use std::time::Instant;

use bytes::{Buf, Bytes};
use wasmtime::{Caller, Linker};

use super::memory::{Memory, Result, Stop, behind, element};
use super::{BAD_DESCRIPTOR, CANNOT_SEEK, INTERRUPTED, INVALID, PREVIEW_1, Process, call};
use crate::capture::Capture;

/// Rights of preview 1 that are told of a stream.
const RIGHT_TO_READ: u64 = 1 << 1;
const RIGHT_TO_WRITE: u64 = 1 << 6;

/// Preview 1's type of a descriptor that is no file, directory, device or socket.
const UNKNOWN_TYPE: u8 = 0;

/// Ways to seek: from the start, from here, from the end.
const WAYS_TO_SEEK: std::ops::Range<i32> = 0..3;

/// A guest's side of preview 1.
pub(crate) struct Wasi {
    input: Bytes,
    output: Capture,
    log: Capture,
    /// By descriptor; none where it is closed.
    open: [Option<Stream>; 3],
    arguments: Vec<String>,
    environment: Vec<String>,
    /// The zero of the monotonic clock.
    began: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Input,
    Output,
    Log,
}

impl Wasi {
    pub(crate) fn new(
        input: Bytes,
        output: Capture,
        log: Capture,
        arguments: Vec<String>,
        environment: &[(String, String)],
    ) -> Wasi {
        let open = [Some(Stream::Input), Some(Stream::Output), Some(Stream::Log)];
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Wasi { input, output, log, open, arguments, environment, began: Instant::now() }
    }

    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub(super) fn environment(&self) -> &[String] {
        &self.environment
    }

    /// Returns the nanoseconds since this was made.
    pub(super) fn monotonic(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns what is open under this descriptor.
    pub(super) fn stream(&self, descriptor: i32) -> Result<Stream> {
        let open = usize::try_from(descriptor).ok().and_then(|descriptor| *self.open.get(descriptor)?);
        open.ok_or(Stop::Errno(BAD_DESCRIPTOR))
    }

    fn close(&mut self, descriptor: i32) -> Result<Stream> {
        let stream = self.stream(descriptor)?;
        self.open[descriptor as usize] = None;
        Ok(stream)
    }

    fn renumber(&mut self, from: i32, to: i32) -> Result<()> {
        let stream = self.stream(from)?;
        self.stream(to)?;
        self.open[from as usize] = None;
        self.open[to as usize] = Some(stream);
        Ok(())
    }

    fn read(&mut self, memory: &mut Memory<'_>, descriptor: i32, buffers: Buffers) -> Result<u32> {
        let (at, length) = buffers.first(memory)?;
        if self.stream(descriptor)? != Stream::Input {
            return Err(Stop::Errno(BAD_DESCRIPTOR));
        }
        if length == 0 && !self.input.is_empty() {
            return Err(Stop::Errno(INTERRUPTED));
        }
        let length = length.min(u32::try_from(self.input.len()).unwrap_or(u32::MAX));
        self.input.copy_to_slice(memory.slice_mut(at, length)?);
        Ok(length)
    }

    fn write(&self, memory: &mut Memory<'_>, descriptor: i32, buffers: Buffers) -> Result<u32> {
        let (at, length) = buffers.first(memory)?;
        let into = match self.stream(descriptor)? {
            Stream::Input => return Err(Stop::Errno(BAD_DESCRIPTOR)),
            Stream::Output => &self.output,
            Stream::Log => &self.log,
        };
        into.append(memory.slice(at, length)?).map_err(|full| Stop::Trap(full.into()))?;
        Ok(length)
    }
}

/// Buffers in the guest's memory, as calls that read and write name them.
struct Buffers {
    at: u32,
    count: u32,
}

impl Buffers {
    fn new(at: i32, count: i32) -> Buffers {
        Buffers { at: at as u32, count: count as u32 }
    }

    /// Returns address and length of the first that is not empty: a call may take less than it is offered.
    fn first(&self, memory: &mut Memory<'_>) -> Result<(u32, u32)> {
        memory.count(self.count as usize * 8)?;
        for index in 0..self.count {
            let buffer = element(self.at, index, 8)?;
            let at = u32::from_le_bytes(memory.read(buffer)?);
            let length = u32::from_le_bytes(memory.read(behind(buffer, 4)?)?);
            if length > 0 {
                memory.count(length as usize)?;
                return Ok((at, length));
            }
        }
        Ok((0, 0))
    }
}

pub(super) fn link<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(PREVIEW_1, "fd_read", |host: Caller<'_, T>, fd: i32, at: i32, count: i32, taken: i32| {
        call(host, |wasi, memory| {
            let length = wasi.read(memory, fd, Buffers::new(at, count))?;
            memory.write(taken as u32, length.to_le_bytes())
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_write", |host: Caller<'_, T>, fd: i32, at: i32, count: i32, taken: i32| {
        call(host, |wasi, memory| {
            let length = wasi.write(memory, fd, Buffers::new(at, count))?;
            memory.write(taken as u32, length.to_le_bytes())
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_pread", |host: Caller<'_, T>, fd: i32, at: i32, count: i32, _: i64, _: i32| {
        call(host, |wasi, memory| {
            Buffers::new(at, count).first(memory)?;
            let input = wasi.stream(fd)? == Stream::Input;
            Err(Stop::Errno(if input { CANNOT_SEEK } else { BAD_DESCRIPTOR }))
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_pwrite", |host: Caller<'_, T>, fd: i32, at: i32, count: i32, _: i64, _: i32| {
        call(host, |wasi, memory| {
            Buffers::new(at, count).first(memory)?;
            let input = wasi.stream(fd)? == Stream::Input;
            Err(Stop::Errno(if input { BAD_DESCRIPTOR } else { CANNOT_SEEK }))
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_seek", |host: Caller<'_, T>, fd: i32, _: i64, way: i32, _: i32| {
        call(host, |wasi, _| {
            if !WAYS_TO_SEEK.contains(&way) {
                return Err(Stop::Errno(INVALID));
            }
            wasi.stream(fd).and(Err(Stop::Errno(CANNOT_SEEK)))
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_tell", |host: Caller<'_, T>, fd: i32, _: i32| {
        call(host, |wasi, _| wasi.stream(fd).and(Err(Stop::Errno(CANNOT_SEEK))))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_close", |host: Caller<'_, T>, fd: i32| {
        call(host, |wasi, _| wasi.close(fd).map(drop))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_renumber", |host: Caller<'_, T>, from: i32, to: i32| {
        call(host, |wasi, _| wasi.renumber(from, to))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_fdstat_get", |host: Caller<'_, T>, fd: i32, at: i32| {
        call(host, |wasi, memory| {
            let rights = if wasi.stream(fd)? == Stream::Input { RIGHT_TO_READ } else { RIGHT_TO_WRITE };
            put_rights(memory, at as u32, rights)
        })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_filestat_get", |host: Caller<'_, T>, fd: i32, at: i32| {
        call(host, |wasi, memory| {
            wasi.stream(fd)?;
            put_no_file(memory, at as u32)
        })
    })?;
    Ok(())
}

/// Writes preview 1's `fdstat`: type, flags, rights, and those that are passed on.
fn put_rights(memory: &mut Memory<'_>, at: u32, rights: u64) -> Result<()> {
    memory.write(at, [UNKNOWN_TYPE])?;
    memory.write(behind(at, 2)?, 0u16.to_le_bytes())?;
    memory.write(behind(at, 8)?, rights.to_le_bytes())?;
    memory.write(behind(at, 16)?, rights.to_le_bytes())
}

/// Writes preview 1's `filestat` of something without device, inode, links, size and times.
fn put_no_file(memory: &mut Memory<'_>, at: u32) -> Result<()> {
    for offset in [0, 8, 24, 32, 40, 48, 56] {
        memory.write(behind(at, offset)?, 0u64.to_le_bytes())?;
    }
    memory.write(behind(at, 16)?, [UNKNOWN_TYPE])
}
