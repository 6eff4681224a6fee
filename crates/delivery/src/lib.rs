//! coinfuse-delivery
