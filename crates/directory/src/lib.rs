//! coinfuse-directory
