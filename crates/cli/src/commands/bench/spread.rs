//! Whether two sets of times differ by more than chance, and how many repeats would tell.

/// Half a student's t distribution has less than 2.5 % beyond these, for 1, 2, ... degrees of
/// freedom; beyond the last, the normal distribution is near enough.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
const NORMAL: f64 = 1.96;
/// The most repeats that are proposed.
const MOST: usize = 1000;

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The means differ (Welch's t-test, 95 %).
    Differ,
    /// They may not. So many repeats would tell, if the means and their spread stay as they are;
    /// `None`: more than a thousand, or nothing is known of the spread.
    Unclear(Option<usize>),
}

/// Compares two sets of times by Welch's t-test. If the difference of the means is not significant,
/// the verdict says how many repeats would probably make it so, if at most [`MOST`] are enough.
pub fn compare(a: &[f64], b: &[f64]) -> Verdict {
    let ((mean_a, var_a), (mean_b, var_b)) = (mean_and_variance(a), mean_and_variance(b));
    let apart = (mean_a - mean_b).abs();
    if a.len() < 2 || b.len() < 2 {
        return Verdict::Unclear(None);
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (share_a, share_b) = (var_a / n, var_b / m);
    let error = share_a + share_b;
    let freedom = error.powi(2) / (share_a.powi(2) / (n - 1.0) + share_b.powi(2) / (m - 1.0));
    if apart > t_critical(freedom) * error.sqrt() {
        return Verdict::Differ;
    }
    let enough = |n: &usize| {
        apart > t_critical(2.0 * (*n as f64 - 1.0)) * ((var_a + var_b) / *n as f64).sqrt()
    };
    Verdict::Unclear((a.len() + 1..=MOST).find(enough))
}

/// Returns the critical value of Student's t distribution for these degrees of freedom.
fn t_critical(freedom: f64) -> f64 {
    match freedom {
        f if f.is_nan() => 0.0,
        f => T.get((f.floor() as usize).max(1) - 1).copied().unwrap_or(NORMAL),
    }
}

/// Returns the mean and the sample variance.
fn mean_and_variance(times: &[f64]) -> (f64, f64) {
    let n = times.len().max(1) as f64;
    let mean = times.iter().sum::<f64>() / n;
    let square = times.iter().map(|t| (t - mean).powi(2)).sum::<f64>();
    (mean, square / (n - 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_how_many_repeats_would_tell() {
        assert_eq!(compare(&[1.0, 1.1, 0.9], &[2.0, 2.1, 1.9]), Verdict::Differ);
        let Verdict::Unclear(Some(n)) = compare(&[1.0, 1.2, 0.8], &[1.1, 1.3, 0.9]) else {
            panic!("three of each cannot tell");
        };
        // 2 * (1.96 * 0.2 / 0.1)² = 31, and a little for the spread that is only estimated.
        assert!((31..36).contains(&n), "{n}");
        assert_eq!(compare(&[1.0, 2.0], &[1.5, 1.5]), Verdict::Unclear(None), "the same mean");
        assert_eq!(compare(&[1.0], &[2.0]), Verdict::Unclear(None), "no spread is known");
        assert_eq!(compare(&[1.0, 1.0], &[2.0, 2.0]), Verdict::Differ);
    }
}
