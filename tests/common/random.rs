//! SplitMix64: small, and the same numbers on every machine.

/// Environment variable that sets the seed of a run.
pub const SEED: &str = "WALMEDIC_SEED";

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 for `n` = 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// A number in `from..to`.
    pub fn within(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to.saturating_sub(from))
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Lowercase words and now and then a character of more than one byte.
    pub fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < len {
            match self.below(24) {
                0 => text.push('é'),
                1 => text.push('€'),
                2 => text.push(' '),
                n => text.push(char::from(b'a' + n as u8)),
            }
        }
        text.into_bytes()
    }
}

/// The seed of this run: from the environment, or always the same, so that a plain `cargo test` is reproducible.
pub fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED}={text}: not a number")),
        Err(_) => 20_260_606,
    }
}

/// Says which seed a test failed with, and ends a test that hangs.
pub struct Watch {
    seed: u64,
    what: &'static str,
    over: std::sync::mpsc::Sender<()>,
}

impl Watch {
    /// Watches the test `what`, which is given `seconds`.
    pub fn new(what: &'static str, seconds: u64) -> Watch {
        let seed = seed();
        let (over, wait) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let patience = std::time::Duration::from_secs(seconds);
            if wait.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{what}: no end after {seconds} s; repeat with {SEED}={seed}");
                std::process::exit(101);
            }
        });
        Watch { seed, what, over }
    }

    /// A random stream of its own for part `n` of the test.
    pub fn random(&self, n: usize) -> Random {
        Random::new(self.seed ^ (n as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.send(()).ok();
        if std::thread::panicking() {
            eprintln!("{}: repeat with {SEED}={}", self.what, self.seed);
        }
    }
}
