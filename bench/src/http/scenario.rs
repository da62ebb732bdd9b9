//! What is measured, and against whom.

use std::fmt;

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// GET of one entity
    One,
    /// GET of a list
    List,
    /// Durable PUTs
    Put,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// GET of one entity.
    GetOne { clients: u32 },
    /// GET of a list.
    List { clients: u32, entities: u32 },
    /// A PUT that changes an entity, each client another one, answered when it is durable.
    Put { clients: u32 },
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    KumaCp,
    Peer,
}

impl Scenario {
    pub(crate) fn clients(self) -> u32 {
        match self {
            Self::GetOne { clients } | Self::List { clients, .. } | Self::Put { clients } => clients,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::GetOne { .. } => Kind::One,
            Self::List { .. } => Kind::List,
            Self::Put { .. } => Kind::Put,
        }
    }

    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::GetOne { .. } | Self::List { .. } => "nginx",
            Self::Put { .. } => "etcd",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GetOne { clients } => write!(f, "GET one, {clients} clients"),
            Self::List { clients, entities } => write!(f, "list of {entities}, {clients} clients"),
            Self::Put { clients: 1 } => f.write_str("durable PUT, 1 client"),
            Self::Put { clients } => write!(f, "durable PUT, {clients} clients"),
        }
    }
}

impl Side {
    /// Who goes first changes from round to round, so that neither always follows the same thing.
    pub(crate) fn in_turn(round: u32) -> [Self; 2] {
        if round.is_multiple_of(2) { [Self::KumaCp, Self::Peer] } else { [Self::Peer, Self::KumaCp] }
    }
}
