//! The sizes of one-shot packets.

/// The two sizes in which one-shot packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketSize {
    /// 4 KiB.
    Small,
    /// 32 KiB.
    Large,
}

impl PacketSize {
    /// Both, the small one first.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// Bytes of a packet.
    #[allow(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Small => 4 << 10,
            Self::Large => 32 << 10,
        }
    }
}
