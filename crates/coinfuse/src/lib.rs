//! coinfuse
