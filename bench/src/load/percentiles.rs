//! A histogram as a file: the text that the plotters of `HdrHistogram` read, or CSV.

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 %, as in the tools of `HdrHistogram`.
const LINES_A_HALVING: u32 = 5;

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PercentileForm {
    /// Columns with a heading and a footer, `.hgrm`.
    Text,
    /// `latency_us,quantile,count`.
    Csv,
}

/// Writes latencies (in nanoseconds) out; values are microseconds.
pub(crate) fn render(latencies: &Histogram<u64>, form: PercentileForm) -> String {
    let mut text = match form {
        PercentileForm::Text => {
            format!(
                "{:>12} {:>14} {:>10} {:>14}\n\n",
                "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
            )
        }
        PercentileForm::Csv => "latency_us,quantile,count\n".to_owned(),
    };
    let mut count = 0;
    for step in latencies.iter_quantiles(LINES_A_HALVING) {
        count += step.count_since_last_iteration();
        let value = micros(step.value_iterated_to());
        let quantile = step.quantile_iterated_to();
        text += &match form {
            PercentileForm::Csv => format!("{value:.3},{quantile:.12},{count}\n"),
            PercentileForm::Text if quantile < 1.0 => {
                let inverse = 1.0 / (1.0 - quantile);
                format!("{value:>12.3} {quantile:>14.12} {count:>10} {inverse:>14.2}\n")
            }
            PercentileForm::Text => {
                format!("{value:>12.3} {quantile:>14.12} {count:>10} {:>14}\n", "inf")
            }
        };
    }
    if form == PercentileForm::Text {
        let (mean, deviation) = (latencies.mean() / 1e3, latencies.stdev() / 1e3);
        let max = micros(latencies.max());
        text += &format!(
            "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]\n\
             #[Max     = {max:>12.3}, Total count    = {:>12}]\n\
             #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
            latencies.len(),
            latencies.buckets(),
            2048
        );
    }
    text
}

/// Nanoseconds as microseconds.
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::latencies;

    #[test]
    fn both_forms_end_at_the_whole() {
        let mut histogram = latencies().unwrap();
        for micros in 1..=1_000_u64 {
            histogram.record(micros * 1_000).unwrap();
        }
        let text = render(&histogram, PercentileForm::Text);
        assert!(
            text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"),
            "{text}"
        );
        assert!(text.contains(" 1.000000000000       1000            inf\n#[Mean "), "{text}");
        let csv = render(&histogram, PercentileForm::Csv);
        let half = csv.lines().find(|line| line.contains(",0.500000000000,")).unwrap();
        let value: f64 = half.split(',').next().unwrap().parse().unwrap();
        assert!((value - 500.0).abs() < 1.0, "{half}");
        assert!(csv.trim_end().ends_with(",1.000000000000,1000"), "{csv}");
    }

    #[test]
    fn an_empty_histogram_has_a_form_too() {
        let text = render(&latencies().unwrap(), PercentileForm::Csv);
        assert!(text.starts_with("latency_us,"));
    }
}
