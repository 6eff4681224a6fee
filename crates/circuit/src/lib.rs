//! coinfuse-circuit
