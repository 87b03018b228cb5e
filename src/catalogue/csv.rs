//! Comma-separated tables with a header (RFC 4180), read strictly: the columns are the ones we know, in order.

use std::str::FromStr;

use crate::terms::Mistakes;
use crate::terms::mistake::shown;
use crate::terms::words::Word;

/// One row of a table; reading a field that is wrong adds a mistake and gives `None`.
pub struct Row<'t> {
    file: &'t str,
    columns: &'t [&'t str],
    fields: Vec<String>,
    pub line: usize,
}

impl Row<'_> {
    pub fn text(&self, column: usize) -> &str {
        &self.fields[column]
    }

    pub fn need<'s>(&'s self, column: usize, mistakes: &mut Mistakes) -> Option<&'s str> {
        let text = self.text(column);
        if text.is_empty() {
            self.wrong(column, mistakes, "is empty", "fill it in");
            return None;
        }
        Some(text)
    }

    pub fn parse<T: FromStr>(&self, column: usize, form: &str, mistakes: &mut Mistakes) -> Option<T> {
        let parsed = self.text(column).parse().ok();
        if parsed.is_none() {
            let wrong = format!("{} is not valid", shown(self.text(column)));
            self.wrong(column, mistakes, wrong, format_args!("write {form}"));
        }
        parsed
    }

    pub fn word<T: Word>(&self, column: usize, mistakes: &mut Mistakes) -> Option<T> {
        self.parse(column, &format!("one of {}", T::WORDS.join(", ")), mistakes)
    }

    pub fn wrong(
        &self,
        column: usize,
        mistakes: &mut Mistakes,
        wrong: impl std::fmt::Display,
        mend: impl std::fmt::Display,
    ) {
        mistakes.add(self.file, self.line, self.columns[column], wrong, mend);
    }
}

/// Calls `each` for every row of `text`. Rows of another width are mistakes and are left out.
pub fn rows(
    file: &str,
    text: &str,
    columns: &[&str],
    mistakes: &mut Mistakes,
    mut each: impl FnMut(Row<'_>, &mut Mistakes),
) {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim_start_matches('\u{feff}'));
    if header != columns.join(",") {
        let mend = format!("write the header `{}`", columns.join(","));
        mistakes.add(file, 1, "header", format_args!("{} is not the header", shown(header)), mend);
        return;
    }
    for (n, line) in lines {
        if line.is_empty() {
            continue;
        }
        let line_no = n + 1;
        match split(line) {
            Some(fields) if fields.len() == columns.len() => {
                each(Row { file, columns, fields, line: line_no }, mistakes);
            }
            Some(fields) => {
                let wrong = format!("has {} fields", fields.len());
                mistakes.add(file, line_no, "row", wrong, format_args!("write {} fields", columns.len()));
            }
            None => mistakes.add(file, line_no, "row", "quotation marks do not pair up", "close the quotation"),
        }
    }
}

/// Fields of one line; a quoted field may hold commas and doubled quotation marks, but no line break.
fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        match rest[end + 1..].strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, &rest[end + 1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_rfc_4180_says() {
        for (line, want) in [
            ("a,b", Some(vec!["a", "b"])),
            ("a,,", Some(vec!["a", "", ""])),
            (r#"a,"b, ""c""","#, Some(vec!["a", r#"b, "c""#, ""])),
            (r#"a,"b"#, None),
            (r#"a,"b"c"#, None),
        ] {
            let want: Option<Vec<String>> = want.map(|fields| fields.into_iter().map(str::to_owned).collect());
            assert_eq!(split(line), want, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn quoted_fields_come_back(fields in proptest::collection::vec("\\PC{0,12}", 1..6)) {
            let line: Vec<String> = fields.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
            proptest::prop_assert_eq!(split(&line.join(",")), Some(fields));
        }
    }
}
