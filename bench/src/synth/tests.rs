//! The parameters, measured on what comes out.

use std::collections::HashMap;
use std::io::Cursor;

use super::*;
use crate::trace::{Record, TraceReader};

fn rows(parameters: Parameters) -> Vec<Drawn> {
    Crowd::new(parameters).unwrap().collect()
}

fn share(rows: &[Drawn], is: impl Fn(&What) -> bool) -> f64 {
    rows.iter().filter(|row| is(&row.what)).count() as f64 / rows.len() as f64
}

/// The exponent of Zipf's law by least squares on the logarithms of ranks and counts.
fn alpha(rows: &[Drawn]) -> f64 {
    let mut counts: HashMap<u64, f64> = HashMap::new();
    for row in rows {
        if let What::Catalog(number) = row.what {
            *counts.entry(number).or_default() += 1.0;
        }
    }
    let mut counts: Vec<f64> = counts.into_values().collect();
    counts.sort_by(|a, b| b.total_cmp(a));
    // Without the first few, which chance bends, and the tail, where counts are small whole numbers.
    let points: Vec<(f64, f64)> = (1..)
        .zip(&counts)
        .skip(4)
        .take(300)
        .map(|(rank, count)| (f64::from(rank).ln(), count.ln()))
        .collect();
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (x, y) = (x / n, y / n);
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let down: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    -up / down
}

#[test]
fn presets_have_the_popularity_that_they_should() {
    // (preset, exponent, share asked for once)
    for (preset, exponent, once) in
        [(Preset::Web, 1.02, 0.07), (Preset::Download, 0.65, 0.19), (Preset::Video, 1.17, 0.2)]
    {
        let parameters = Parameters { churn: 0.0, ..Parameters::of(preset, 200_000, 5_000, 3) };
        let rows = rows(parameters);
        let measured = alpha(&rows);
        assert!((measured - exponent).abs() < 0.08, "{preset:?}: {measured}");
        let single = share(&rows, |what| matches!(what, What::Once(_)));
        assert!((single - once).abs() < 0.005, "{preset:?}: {single}");
    }
}

#[test]
fn sizes_have_the_quantiles_that_they_should() {
    // (preset, mean and deviation of the logarithm)
    for (preset, mean, deviation) in [(Preset::Web, 9.46, 1.85), (Preset::Download, 12.16, 1.74)] {
        let mut sizes: HashMap<u64, f64> = HashMap::new();
        for row in rows(Parameters::of(preset, 300_000, 5_000, 5)) {
            if let What::Once(number) = row.what {
                sizes.insert(number, (row.bytes as f64).ln());
            }
        }
        let mut sizes: Vec<f64> = sizes.into_values().collect();
        sizes.sort_by(f64::total_cmp);
        let quantile = |percent: usize| sizes[sizes.len() * percent / 100];
        for (at, z) in [(10, -1.2816), (50, 0.0), (90, 1.2816)] {
            let expected = mean + deviation * z;
            assert!((quantile(at) - expected).abs() < 0.08, "{preset:?} {at}: {}", quantile(at));
        }
    }
    let largest =
        rows(Parameters::of(Preset::Video, 50_000, 5_000, 5)).iter().map(|row| row.bytes).max();
    assert_eq!(largest, Some(6_000_000), "video is cut into segments");
}

#[test]
fn what_is_popular_is_a_little_smaller() {
    let rows =
        rows(Parameters { size_by_rank: 0.5, ..Parameters::of(Preset::Web, 100_000, 2_000, 5) });
    let of_request =
        rows.iter().map(|row| (row.bytes as f64).ln()).sum::<f64>() / rows.len() as f64;
    assert!(of_request < 9.2, "the mean of requests is below that of objects: {of_request}");
}

#[test]
fn equal_parameters_give_equal_rows_and_other_seeds_others() {
    let parameters = |seed| Parameters {
        flash: Some(0.5),
        scan: 50,
        purge_storm: true,
        ..Parameters::of(Preset::Video, 5_000, 500, seed)
    };
    assert_eq!(rows(parameters(1)), rows(parameters(1)));
    assert_ne!(rows(parameters(1)), rows(parameters(2)));
}

#[test]
fn the_day_has_a_night() {
    let rows = rows(Parameters::of(Preset::Web, 96_000, 1_000, 1));
    let hour = |row: &Drawn| row.at_ms / 3_600_000;
    let count = |wanted| rows.iter().filter(|row| hour(row) == wanted).count();
    assert!(count(16) > 4 * count(4), "{} {}", count(16), count(4));
    assert!(rows.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms), "times do not go back");
    assert_eq!(hour(&rows[95_999]), 23);
}

#[test]
fn regions_have_neighbors_in_another_order() {
    let rows = rows(Parameters { recent: 0.0, ..Parameters::of(Preset::Web, 200_000, 1_000, 1) });
    let favorite = |region: u32| {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for row in rows.iter().take(20_000).filter(|row| row.region == region) {
            if let What::Catalog(number) = row.what {
                *counts.entry(number).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(number, count)| (*count, *number)).unwrap().0
    };
    let favorites: Vec<u64> = (0..4).map(favorite).collect();
    assert!(favorites.iter().any(|other| *other != favorites[0]), "{favorites:?}");
    assert!(favorites.iter().all(|number| *number < 16), "popular everywhere: {favorites:?}");
}

#[test]
fn the_catalog_changes_with_every_tenth() {
    let rows = rows(Parameters::of(Preset::Video, 50_000, 1_000, 1));
    let newest = |rows: &[Drawn]| {
        rows.iter()
            .filter_map(|row| match row.what {
                What::Catalog(number) => Some(number),
                _ => None,
            })
            .max()
    };
    assert!(newest(&rows[..5_000]) < Some(1_000));
    assert!(newest(&rows[45_000..]) > Some(2_000), "a fifth is replaced nine times");
}

#[test]
fn events_are_where_they_should_be() {
    let rows = rows(Parameters {
        flash: Some(0.7),
        scan: 300,
        purge_storm: true,
        ..Parameters::of(Preset::Web, 30_000, 1_000, 1)
    });
    assert_eq!(rows.len(), 30_000 + 300 + 100);
    let place = |is: fn(&What) -> bool| rows.iter().position(|row| is(&row.what)).unwrap();
    assert_eq!(place(|what| matches!(what, What::Purge(_))), 10_000);
    assert_eq!(place(|what| matches!(what, What::Scan(_))), 15_100);
    let flash: Vec<&Drawn> = rows.iter().filter(|row| row.what == What::Flash).collect();
    assert!((650..850).contains(&flash.len()), "half of a twentieth: {}", flash.len());
    let took = flash[flash.len() - 1].at_ms - flash[0].at_ms;
    assert!(
        took < 86_400_000 / 60,
        "a twentieth of the requests in far less of the time: {took} ms"
    );
}

#[test]
fn rows_are_read_as_they_were_written() {
    let parameters =
        Parameters { purge_storm: true, ..Parameters::of(Preset::Video, 3_000, 100, 9) };
    let drawn = rows(parameters.clone());
    let mut text = Vec::new();
    let summary = write_rows(Crowd::new(parameters).unwrap(), &mut text, &mut |_| {}).unwrap();
    assert_eq!(summary.rows, drawn.len() as u64);
    let mut trace = TraceReader::of_reader("log", Cursor::new(text), None, "-").unwrap();
    let mut record = Record::default();
    for row in &drawn {
        assert!(trace.next_into(&mut record).unwrap());
        let is_purge = matches!(row.what, What::Purge(_));
        assert_eq!(record.method == "PURGE", is_purge);
        assert_eq!((record.bytes, record.status), (Some(row.bytes), 200));
        assert_eq!(record.cache_control, Some(format!("max-age={}", row.max_age_secs)));
    }
    assert!(!trace.next_into(&mut record).unwrap() && trace.bad_lines().count == 0);
}

#[test]
fn parameters_that_make_no_crowd_are_refused() {
    let good = || Parameters::of(Preset::Web, 10, 10, 1);
    let bad = [
        Parameters { requests: 0, ..good() },
        Parameters { objects: 0, ..good() },
        Parameters { flash: Some(1.5), ..good() },
        Parameters { flash: Some(f64::NAN), ..good() },
        Parameters { regions: 0, ..good() },
    ];
    assert!(Crowd::new(good()).is_ok());
    for parameters in bad {
        assert!(Crowd::new(parameters.clone()).is_err(), "{parameters:?}");
    }
}
