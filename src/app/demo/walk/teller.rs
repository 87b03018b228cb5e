//! Tells the story on the terminal, step by step, and counts what came out as it must.

use std::time::Instant;

use crate::app::demo::screen::{Look, Screen, Working};

/// What a step is called, in both languages.
type Title = (String, String);

/// The storyteller.
pub struct Teller {
    pub screen: Screen,
    begun: Instant,
    number: u32,
    wrong: Vec<String>,
    current: Option<(Title, Instant, Working)>,
}

impl Teller {
    pub fn new(screen: Screen) -> Self {
        Self { screen, begun: Instant::now(), number: 0, wrong: Vec::new(), current: None }
    }

    /// A heading.
    pub fn chapter(&self, zh: &str, en: &str) {
        let heading = self.screen.paint(Look::Strong, format_args!("━━ {zh} · {en}"));
        self.screen.line(format_args!("\n{heading}"));
    }

    /// A step begins; [`Teller::done`] or [`Teller::fail`] ends it.
    pub fn work(&mut self, zh: &str, en: &str) {
        let spinner = self.screen.working(format!("{zh} · {en}"));
        self.current = Some(((zh.to_owned(), en.to_owned()), Instant::now(), spinner));
    }

    /// The step came out: what was checked, and where the evidence lies (nothing is told of what is empty).
    pub fn done(&mut self, checked: &str, evidence: &str) {
        self.came_out(None, checked, evidence);
    }

    /// [`Teller::done`], under another name: one that is known only now.
    pub fn done_as(&mut self, zh: &str, en: &str, checked: &str, evidence: &str) {
        self.came_out(Some((zh.to_owned(), en.to_owned())), checked, evidence);
    }

    fn came_out(&mut self, title: Option<Title>, checked: &str, evidence: &str) {
        let Some((begun_as, begun, spinner)) = self.current.take() else { return };
        drop(spinner);
        self.number += 1;
        let (zh, en) = title.unwrap_or(begun_as);
        let ms = begun.elapsed().as_millis();
        let (mark, number) = (self.screen.paint(Look::Good, "✓"), self.number);
        let mut text = format!("{number:>3} {mark} {zh}\n      {en} {}", self.quiet(format_args!("· {ms} ms")));
        for (name, value) in [("核验 checked ", checked), ("存证 evidence", evidence)] {
            if !value.is_empty() {
                text.push_str(&format!("\n      {} {value}", self.quiet(name)));
            }
        }
        self.screen.line(text);
    }

    /// The step did not come out.
    pub fn fail(&mut self, why: impl std::fmt::Display) {
        self.number += 1;
        let (zh, en) = match self.current.take() {
            Some((title, ..)) => title,
            None => ("演示".to_owned(), "the demonstration".to_owned()),
        };
        let mark = self.screen.paint(Look::Bad, "✗");
        self.screen.line(format_args!("{:>3} {mark} {zh} · {en}\n      {why}", self.number));
        let first = why.to_string().lines().next().unwrap_or_default().to_owned();
        self.wrong.push(format!("{zh} · {en}: {first}"));
    }

    /// A line for people who want to do it themselves.
    pub fn hint(&self, text: impl std::fmt::Display) {
        self.screen.line(format_args!("      {}", self.quiet(text)));
    }

    pub fn quiet(&self, text: impl std::fmt::Display) -> String {
        self.screen.paint(Look::Quiet, text)
    }

    /// Whether everything came out so far.
    pub fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }

    /// The last line; gives whether all came out as it must.
    pub fn conclude(&self) -> bool {
        let (seconds, number) = (self.begun.elapsed().as_secs_f32(), self.number);
        if self.wrong.is_empty() {
            let text = format!(
                "✓ 全部 {number} 步符合预期，用时 {seconds:.1} 秒 · all {number} steps came out as they must, in {seconds:.1} s"
            );
            self.screen.line(format_args!("\n{}", self.screen.paint(Look::Good, text)));
            return true;
        }
        let count = self.wrong.len();
        let text = format!("✗ {count} 步不符合预期 · {count} of {number} steps did not come out as they must:");
        self.screen.line(format_args!("\n{}", self.screen.paint(Look::Bad, text)));
        for wrong in &self.wrong {
            self.screen.line(format_args!("  - {wrong}"));
        }
        false
    }
}
