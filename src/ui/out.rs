//! Standard output that survives a closed pipe: a reader that has seen enough never turns a verdict into a crash.

use std::io::{self, BufWriter, StdoutLock, Write};

/// Buffered standard output.
pub struct Out {
    inner: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Default for Out {
    fn default() -> Self {
        Out { inner: BufWriter::with_capacity(64 << 10, io::stdout().lock()), closed: false }
    }
}

impl Out {
    /// Nobody reads any more: commands whose only purpose is to print may stop.
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(buf.len());
        }
        let result = self.inner.write(buf);
        self.forgive(result, buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.forgive(result, ())
    }
}
