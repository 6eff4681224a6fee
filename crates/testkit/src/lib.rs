//! coinfuse-testkit
