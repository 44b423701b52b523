//! The table of fault scenarios names tests that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

const TABLE: &str = include_str!("../../../faults/tests/faults/main.rs");

fn tests_below(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).expect("a source file"));
        }
    }
}

/// The numbers and the tests of each row.
fn rows() -> Vec<(Vec<u32>, Vec<&'static str>)> {
    let cells = TABLE.lines().filter_map(|line| line.strip_prefix("//! | ")).map(|row| row.split(" | "));
    cells
        .filter_map(|mut cells| {
            let numbers: Result<_, _> = cells.next()?.split(", ").map(str::parse).collect();
            let tests = cells.nth(1)?.split('`').skip(1).step_by(2).collect();
            Some((numbers.ok()?, tests))
        })
        .collect()
}

#[test]
fn every_scenario_is_proven_by_tests_that_exist() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    ["crates", "services", "faults"].iter().for_each(|folder| tests_below(&root.join(folder), &mut sources));
    let rows = rows();
    let numbers: Vec<u32> = rows.iter().flat_map(|(numbers, _)| numbers.clone()).collect();
    assert_eq!(numbers, (1..=20).chain(27..=30).collect::<Vec<_>>());
    for (numbers, tests) in rows {
        assert!(!tests.is_empty(), "nothing proves {numbers:?}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "{numbers:?}: there is no test {test}");
        }
    }
}
