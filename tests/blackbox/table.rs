//! Tables of what a test has measured, for people.

/// Prints rows under a title, the first column to the left, the others to the right.
pub fn print(title: &str, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    println!("\n{title}");
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("  {cell:<width$}", width = widths[column]),
            _ => format!("  {cell:>width$}", width = widths[column]),
        });
        println!("{}", cells.collect::<String>().trim_end());
    }
    println!();
}

/// A row of cells.
#[macro_export]
macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$($cell.to_string()),+] };
}
