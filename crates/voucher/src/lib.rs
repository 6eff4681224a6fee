//! coinfuse-voucher
