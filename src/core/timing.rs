//! The protocol's times (RFC 9568 section 6.1, RFC 3768 section 6.1), to the nanosecond.

use crate::core::advert::Version;
use std::time::Duration;

/// Skew_Time: (256 - priority) / 256 of the Active's interval; in version 2, of one second.
pub fn skew(version: Version, priority: u8, interval: Duration) -> Duration {
    let base = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    base * (256 - u32::from(priority)) / 256
}

/// Master_Down_Interval (Active_Down_Interval): the silence after which a Backup claims the address.
pub fn master_down(version: Version, priority: u8, interval: Duration) -> Duration {
    interval * 3 + skew(version, priority, interval)
}

/// The lifetime of the address in the kernel: the next whole second above Master_Down, at least one. Shorter,
/// and a holder that is merely slow would lose it before its peers take over; the kernel counts in seconds.
pub fn lease_seconds(master_down: Duration) -> u32 {
    u32::try_from(master_down.as_secs()).unwrap_or(u32::MAX - 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn master_down_of_the_facts() {
        let down = |version, priority, interval| master_down(version, priority, interval).as_micros();
        assert_eq!(down(Version::V2, 100, 1000 * MS), 3_609_375);
        assert_eq!(down(Version::V3, 254, 1000 * MS), 3_007_812);
        assert_eq!(down(Version::V3, 100, 100 * MS), 360_937);
        assert_eq!(down(Version::V3, 254, 100 * MS), 300_781);
        assert_eq!(
            down(Version::V2, 254, 2000 * MS),
            6_007_812,
            "v2 skews by parts of a second, not of the interval"
        );
    }

    #[test]
    fn lease_is_the_next_whole_second_above_master_down() {
        for (millis, seconds) in [(30, 1), (600, 1), (999, 1), (1000, 2), (3008, 4)] {
            assert_eq!(lease_seconds(millis * MS), seconds);
        }
    }
}
