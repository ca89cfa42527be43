//! The README says what the program says.

use super::{read, settings, tree};

#[test]
fn the_table_of_variables_is_that_of_the_help() {
    let readme = read(&tree("README.md"));
    let rows: Vec<(String, String)> = readme
        .lines()
        .filter(|line| line.starts_with("| `OUTRIDER_"))
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), 3, "{line}");
            (cells[0].trim_start_matches("| ").replace('`', ""), cells[1].trim().replace('`', ""))
        })
        .collect();
    assert_eq!(rows, settings());
}
