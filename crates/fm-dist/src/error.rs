//! Errors of process groups.

/// A process group that cannot be opened, or that has lost a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DistError {
    /// A launcher's environment variable with an invalid value.
    #[error("{name}={value}: {problem}; let torchrun, srun or `cargo xtask launch` set it, or unset it")]
    Variable {
        /// The variable's name.
        name: String,
        /// The variable's value.
        value: String,
        /// The problem.
        problem: String,
    },
    /// Rank 0 cannot listen at the address.
    #[error("rank 0 cannot serve at {address} ({reason}); choose another MASTER_PORT")]
    Port {
        /// The address.
        address: String,
        /// The error of the operating system.
        reason: String,
    },
    /// The store at the rendezvous address cannot be reached.
    #[error(
        "rank {rank} cannot reach rank 0 at {address} ({reason}); check MASTER_ADDR and MASTER_PORT, and that rank 0 has been started, \
         or unset RANK, WORLD_SIZE and MASTER_ADDR to run alone"
    )]
    Unreachable {
        /// The rank that tried to connect.
        rank: usize,
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// Invalid tensors or ranks for a collective.
    #[error("cannot {action}: {problem}")]
    Argument {
        /// The collective.
        action: &'static str,
        /// The problem and its remedy.
        problem: String,
    },
    /// Some ranks have not been started.
    #[error(
        "cannot open the process group: {ranks} of {world_size} did not connect ({reason}); start all processes, or unset RANK, WORLD_SIZE and MASTER_ADDR to run alone"
    )]
    Absent {
        /// The ranks as text: `rank 2` or `ranks 2, 3`.
        ranks: String,
        /// The number of ranks.
        world_size: usize,
        /// The known details.
        reason: String,
    },
    /// Some ranks ended without a message.
    #[error("lost {ranks}: {reason}; look at their output, then start all processes again")]
    Lost {
        /// The lost ranks as text: `rank 2` or `ranks 2, 3`.
        ranks: String,
        /// The known details.
        reason: String,
    },
    /// A rank ended and reported the cause.
    #[error("rank {rank} failed: {cause}")]
    Failed {
        /// The rank.
        rank: usize,
        /// The cause, as that rank reported it.
        cause: String,
    },
    /// All ranks are alive, but the exchange failed.
    #[error(
        "the {world_size} ranks could not exchange data ({reason}); check the network, or set GLOO_SOCKET_IFNAME to the right interface"
    )]
    Exchange {
        /// The number of ranks.
        world_size: usize,
        /// The reason.
        reason: String,
    },
    /// NCCL is not available.
    #[error("NCCL cannot be used ({reason}); build without the feature nccl to exchange data through the host")]
    Nccl {
        /// The reason.
        reason: String,
    },
}
