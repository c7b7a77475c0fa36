//! The arguments of `cargo xtask dev`.

use std::{net::TcpListener, path::PathBuf};

/// First of the ports, unless another one is given.
const BASE: u16 = 8787;

const USAGE: &str = "\
usage: cargo xtask dev [--tour] [--port BASE] [--wrangler]
       cargo xtask dev --legacy URL --new URL [--path /api] [--port BASE]
       cargo xtask dev --config FILE [--port BASE]";

/// Arguments of `cargo xtask dev`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// True if the Worker runs in `wrangler dev` instead of workerd alone.
    pub is_wrangler: bool,
    /// True if the tour is printed.
    pub is_tour: bool,
    /// First of the ports, if it was given.
    pub port: Option<u16>,
    /// The backends behind the edge.
    pub backends: Backends,
}

/// The backends behind the local edge.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Backends {
    /// The two demonstration backends.
    #[default]
    Demo,
    /// Backends of the user, for which a configuration is written.
    Urls {
        /// URL of the old one.
        legacy: String,
        /// URL of the new one.
        new: String,
        /// Path of the requests that move, if it was given.
        path: Option<String>,
    },
    /// Backends of the user, in a configuration of theirs.
    File(PathBuf),
}

/// The ports of the parts that a user calls; 0 for a free one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// The Worker.
    pub edge: u16,
    /// The functions.
    pub functions: u16,
    /// The old demonstration backend.
    pub legacy: u16,
    /// The new demonstration backend.
    pub new: u16,
}

impl Arguments {
    /// Parses arguments, without the name of the program.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first mistake, with the usage.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::default();
        let (mut legacy, mut new, mut path, mut file) = (None, None, None, None);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| mistake(&format!("{word} needs a value")));
            match word.as_str() {
                "--wrangler" => parsed.is_wrangler = true,
                "--tour" => parsed.is_tour = true,
                "--port" => parsed.port = Some(base(&value()?)?),
                "--legacy" => legacy = Some(value()?),
                "--new" => new = Some(value()?),
                "--path" => path = Some(value()?),
                "--config" => file = Some(PathBuf::from(value()?)),
                _ => return Err(mistake(&format!("{word} is no option of dev"))),
            }
        }
        parsed.backends = match (legacy, new, path, file) {
            (None, None, None, None) => Backends::Demo,
            (Some(legacy), Some(new), path, None) => Backends::Urls { legacy, new, path },
            (None, None, None, Some(file)) => Backends::File(file),
            _ => return Err(mistake("own backends are --legacy with --new, or --config")),
        };
        if parsed.is_tour && parsed.backends != Backends::Demo {
            return Err(mistake("the tour breaks its backends on purpose, so it has backends of its own"));
        }
        Ok(parsed)
    }

    /// Returns the ports. The tour, and a given first port, have ports that do not change; otherwise free ports take the
    /// place of those that are taken.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a port that must not change and is taken.
    pub fn ports(&self) -> Result<Ports, String> {
        let ports = Ports::from_base(self.port.unwrap_or(BASE));
        match ports.taken() {
            None => Ok(ports),
            Some(_) if self.port.is_none() && !self.is_tour => Ok(Ports::default()),
            Some(taken) => Err(format!(
                "port {taken} is taken\n  hint: end the program that listens there (lsof -i :{taken}), or choose four \
                 other ports with --port BASE, such as --port 9000 for 9000 to 9003"
            )),
        }
    }
}

impl Ports {
    /// Returns four ports in a row. The first is at most 65 532.
    pub fn from_base(base: u16) -> Self {
        Self { edge: base, functions: base + 1, legacy: base + 2, new: base + 3 }
    }

    /// Returns the first port on which another program listens.
    pub fn taken(self) -> Option<u16> {
        let Self { edge, functions, legacy, new } = self;
        [edge, functions, legacy, new]
            .into_iter()
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_err())
    }
}

fn base(text: &str) -> Result<u16, String> {
    let port = text.parse::<u16>().ok().filter(|port| (1..=u16::MAX - 3).contains(port));
    port.ok_or_else(|| mistake(&format!("{text} is no port from 1 to {}", u16::MAX - 3)))
}

fn mistake(sentence: &str) -> String {
    format!("{sentence}\n{USAGE}")
}
