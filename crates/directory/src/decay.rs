//! What was seen long ago counts less.

use core::time::Duration;

/// What is left of `value` after `age`: half of it after each half-life, on a straight line between.
/// Whole numbers only, so that everybody computes the same.
pub(crate) fn decayed(value: u32, age: Duration, half_life: Duration) -> u32 {
    // A half-life is at most 2^32 ms, which is 49 days, so the product below fits.
    let half_life = half_life.as_millis().clamp(1, u32::MAX.into()) as u64;
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let halvings = u32::try_from(age / half_life).unwrap_or(u32::MAX);
    let whole = u64::from(value.checked_shr(halvings).unwrap_or(0));
    let lost = whole * (age % half_life) / 2 / half_life;
    (whole - lost) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_left_after_each_half_life_and_nothing_after_many() {
        let after = |minutes: u64| {
            decayed(
                1000,
                Duration::from_secs(minutes * 60),
                Duration::from_secs(3600),
            )
        };
        assert_eq!([0, 30, 60, 90, 120].map(after), [1000, 750, 500, 375, 250]);
        assert_eq!(after(60 * 1000), 0);
        let ages: Vec<_> = (0..2000).map(after).collect();
        assert!(ages.is_sorted_by(|earlier, later| earlier >= later));
        assert_eq!(decayed(1000, Duration::MAX, Duration::ZERO), 0);
        assert_eq!(decayed(u32::MAX, Duration::ZERO, Duration::ZERO), u32::MAX);
    }
}
