//! How are numbers written for people?

const STEPS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Bytes in the units of the configuration, with three digits or so.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut step = 0;
    while value >= 1_023.5 && step + 1 < STEPS.len() {
        value /= 1_024.0;
        step += 1;
    }
    let unit = STEPS.get(step).copied().unwrap_or("B");
    let digits = if step == 0 || value >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$} {unit}")
}

/// A count with its thousands set apart.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio in percent.
#[must_use]
pub fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// A time in the largest unit of which there is more than one.
#[must_use]
pub fn time(ms: u64) -> String {
    let (unit, name): (u32, _) = match ms {
        0..2_000 => return format!("{ms} ms"),
        2_000..120_000 => (1_000, "s"),
        120_000..7_200_000 => (60_000, "min"),
        7_200_000..172_800_000 => (3_600_000, "h"),
        _ => (86_400_000, "days"),
    };
    let value = ms as f64 / f64::from(unit);
    let digits = usize::from(value < 9.95 && !ms.is_multiple_of(u64::from(unit)));
    format!("{value:.digits$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (given, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (17_752_109_886, "16.5 GiB"),
            (256 << 20, "256 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(given), expected);
        }
        let counted: Vec<String> = [0, 999, 1_000, 1_234_567].map(count).to_vec();
        assert_eq!(counted, ["0", "999", "1,000", "1,234,567"]);
        let times = [1_500, 2_500, 60_000, 5_400_000, 86_400_000, 1_814_400_000].map(time);
        assert_eq!(times.to_vec(), ["1500 ms", "2.5 s", "60 s", "90 min", "24 h", "21 days"]);
        assert_eq!(percent(0.4567), "45.7 %");
    }
}
