//! A reader that gives up on a row without an end: a quote that is never closed would gather the rest of the file.

use std::io::{self, Read};

/// Reads at most so many bytes for each row.
pub(super) struct Bounded<R> {
    inner: R,
    most: usize,
    left: usize,
}

impl<R: Read> Bounded<R> {
    /// At most `most` bytes a row, give or take what is read ahead.
    pub(super) fn new(inner: R, most: usize) -> Bounded<R> {
        Bounded { inner, most, left: most }
    }

    /// A row begins.
    pub(super) fn begin(&mut self) {
        self.left = self.most;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let says = format!("a row has more than {} bytes: close its quote", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, says));
        }
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}
