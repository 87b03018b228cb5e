//! The terminal: lines of the story, a spinner for what is under way, and log lines that do not tear either.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// How often the spinner turns, in milliseconds.
const TURN_MS: u64 = 90;

/// Standard output and the spinner below it (on standard error, and only on a terminal). Cheap to clone.
#[derive(Clone)]
pub struct Screen {
    below: MultiProgress,
    colours: bool,
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy)]
pub enum Look {
    Strong,
    Quiet,
    Good,
    Bad,
}

impl Default for Screen {
    fn default() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { below: MultiProgress::new(), colours: std::io::stdout().is_terminal() && !plain }
    }
}

impl Screen {
    /// Prints a line. A reader that has gone away is no reason to stop.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.below.suspend(|| {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    /// Text in a look, plain where there are no colours.
    pub fn paint(&self, look: Look, text: impl std::fmt::Display) -> String {
        let code = match look {
            Look::Strong => "1",
            Look::Quiet => "2",
            Look::Good => "32",
            Look::Bad => "31",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Shows what is being worked at, until the result is dropped.
    pub fn working(&self, text: String) -> Working {
        let style = ProgressStyle::with_template("  {spinner:.cyan} {wide_msg}  {elapsed}");
        let bar = self.below.add(ProgressBar::new_spinner());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(TURN_MS));
        Working(bar)
    }
}

/// A turning spinner.
pub struct Working(ProgressBar);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Log lines go to standard error, past the spinner.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { screen: self.clone(), text: Vec::new() }
    }
}

/// One log line, printed whole when it is dropped.
pub struct LogLine {
    screen: Screen,
    text: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.screen.below.suspend(|| {
            let _ = std::io::stderr().lock().write_all(&self.text);
        });
    }
}
