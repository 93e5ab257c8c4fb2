//! What must hold for every text.

use proptest::prelude::*;

use super::documents::tables;
use super::*;

/// Lines that are near to a file, so that chance reaches past the syntax.
fn near_toml() -> impl Strategy<Value = String> {
    let names: Vec<_> = tables()
        .iter()
        .flat_map(|table| table.keys.iter().map(|key| key.name).chain([table.name]))
        .collect();
    let word = prop::sample::select(names);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "0x7f",
        "1.5",
        "true",
        "\"\"",
        "\"*\"",
        "\"0\"",
        "\"1s\"",
        "\"1MiB\"",
        "[]",
        "{}",
        "[\"a\", 1, [2]]",
        "\"http://a@b\"",
        "\"[::1]:65535\"",
        "1979-05-27",
        "\"é\\u0000\"",
        "[[[]]]",
        "99999999999999999999",
        "\"18446744073709551615TiB\"",
    ]);
    let line = (word, value, 0..6_u8).prop_map(|(word, value, form)| match form {
        0 => format!("[{word}]\n"),
        1 => format!("[[{word}]]\n"),
        2 => format!("[[site]]\n{word} = {value}\n"),
        _ => format!("{word} = {value}\n"),
    });
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
}

fn assert_total(text: &str) -> Result<(), TestCaseError> {
    if let Err(errors) = read(text) {
        prop_assert!(!errors.problems().is_empty());
        prop_assert_eq!(errors.to_string().lines().count(), errors.problems().len());
        let lines = text.lines().count().max(1);
        prop_assert!(errors.problems().iter().all(|p| (1..=lines + 1).contains(&p.line)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        assert_total(&text)?;
    }

    #[test]
    fn no_file_panics_and_each_problem_has_a_line(text in near_toml()) {
        assert_total(&text)?;
    }

    #[test]
    fn no_variable_panics(name in "(WEIR__)?[A-Z_]{0,20}", value: String) {
        let outcome = read_with("", &[(&name, &value)]);
        prop_assert_eq!(outcome.is_err(), name.starts_with("WEIR__"));
    }

    #[test]
    fn what_is_read_is_read_back(text in near_toml()) {
        if let Ok(config) = read(&text) {
            prop_assert_eq!(read(&to_toml(&config)), Ok(config));
        }
    }
}
