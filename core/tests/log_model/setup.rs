//! Size of a model, and the rules that its processes obey.

/// Names of the flags. A model uses the first of them.
pub const FLAGS: [&str; 3] = ["a", "b", "c"];

/// Rules that the processes obey. All but the first two are broken on purpose: the model must find a violation in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rules {
    /// The rules of `core/src/measurement/log.rs`, with the term of the lease in every write.
    Sound,
    /// The sound rules, but writes do not carry the term: a fold goes on writing after its lease has lapsed.
    WithoutTerms,
    /// The ledgers are read before the cursor.
    LedgersFirst,
    /// The positions of the cursor are taken for those of a parked ledger.
    UnparkedTooSoon,
    /// Writes do not carry the version.
    WithoutVersions,
    /// A shard that is not listed is forgotten at once.
    ForgetsUnlisted,
}

/// Setup of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Rules that the processes obey.
    pub rules: Rules,
    /// Number of flags.
    pub flags: usize,
    /// Number of fold processes.
    pub processes: usize,
    /// Most records in a page.
    pub page: usize,
    /// Failed writes after which a ledger is parked.
    pub tries: u8,
}
