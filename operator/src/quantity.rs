//! Pure: amounts as Kubernetes writes them, by their value.

/// The value of a quantity.
#[must_use]
pub fn value(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("", 1.0),
    ];
    let (suffix, factor) = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix))?;
    let number: f64 = text.strip_suffix(suffix)?.parse().ok()?;
    Some(number * factor)
}

/// Whether two texts are one amount.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    values(left, right).is_some_and(|(left, right)| (left - right).abs() <= left.abs() * 1e-9)
}

/// Whether the left amount is the greater one.
#[must_use]
pub fn exceeds(left: &str, right: &str) -> bool {
    !same(left, right) && values(left, right).is_some_and(|(left, right)| left > right)
}

fn values(left: &str, right: &str) -> Option<(f64, f64)> {
    value(left).zip(value(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_by_value() {
        assert!(same("500m", "0.5") && same("1Gi", "1024Mi"));
        assert!(!same("1Gi", "1G") && !same("much", "much"));
        assert!(exceeds("1Gi", "1G") && exceeds("1", "999m"));
        assert!(!exceeds("0.1", "100m") && !exceeds("1G", "1Gi") && !exceeds("much", "1"));
    }
}
