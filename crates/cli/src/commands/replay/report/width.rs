//! Lines about differences, so that they fit a terminal of 100 columns: an expected and a found
//! value get lines of their own where one line is too long, and what is still too long loses its
//! middle. JSON has them whole.

/// The columns that a line may take.
pub const WIDTH: usize = 100;
const INDENT: &str = "    ";

/// Breaks a line about a difference into lines of at most [`WIDTH`] columns: the expected and the
/// actual value get their own.
pub fn fit_to_width(line: &str) -> String {
    if count_columns(line) <= WIDTH {
        return line.to_owned();
    }
    let Some((head, values)) = line.split_once(": expected ") else { return shorten(line) };
    let mut text = shorten(&format!("{head}:"));
    let values = format!("{INDENT}expected {values}");
    match values.split_once(", got ") {
        Some((expected, got)) if count_columns(&values) > WIDTH => {
            for part in [expected, &format!("{INDENT}got      {got}")] {
                text.push('\n');
                text.push_str(&shorten(part));
            }
        }
        _ => {
            text.push('\n');
            text.push_str(&shorten(&values));
        }
    }
    text
}

/// Shortens a line to at most [`WIDTH`] columns by replacing its middle with `...`.
pub fn shorten(line: &str) -> String {
    let count = count_columns(line);
    if count <= WIDTH {
        return line.to_owned();
    }
    // The end of a path or a call tells more than its middle.
    let tail = 60;
    let head: String = line.chars().take(WIDTH - tail - 3).collect();
    let end: String = line.chars().skip(count - tail).collect();
    format!("{head}...{end}")
}

/// Returns the number of columns of a line: one for each character.
fn count_columns(line: &str) -> usize {
    line.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_fit() {
        let short = "divergence: #7 [12] read /a: result: expected 5, got EIO";
        assert_eq!(fit_to_width(short), short);
        let deep = format!("/srv/{}/end of the name", "directory/".repeat(20));
        let data = "ab 03 70 a9 4d 6e b2 34 a2 c8 3c 7b 31 7c f3 80";
        let lines = [
            format!("divergence: #7 [12] read {deep}: result: expected 5, got EIO"),
            format!("divergence: #9 [12] read /a: byte 0 of the data: expected {data}, got {data}"),
            format!("state: {deep}: presence: expected nothing, got file"),
            format!("note: {}", "word ".repeat(40)),
        ];
        let text: Vec<String> = lines.iter().map(|line| fit_to_width(line)).collect();
        let text = text.join("\n");
        assert!(text.lines().all(|line| count_columns(line) <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }
}
