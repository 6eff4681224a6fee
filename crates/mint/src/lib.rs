//! coinfuse-mint
