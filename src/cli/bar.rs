//! The bar of a long work on the terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How far `what` has come, how fast it goes and how long it takes yet; nothing where standard error is no terminal.
pub fn bar(len: u64, what: &str) -> ProgressBar {
    let template = format!("{{elapsed_precise}} {{bar:30}} {{human_pos}}/{{human_len}} {what}  {{rate}}  {{eta}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // The crate's own rate has four places behind the point.
    let rate = |state: &ProgressState, to: &mut dyn Write| {
        let _ = write!(to, "{:.0}/s", state.per_sec());
    };
    ProgressBar::new(len).with_style(style.with_key("rate", rate))
}
