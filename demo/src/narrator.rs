//! What the person at the terminal reads: one line a step, in the columns of `./dev`, and while
//! something is waited for one short line that changes. Without a terminal there are plain lines
//! only, now and then.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::{Duration, Instant};

/// Longest line that is drawn over: one that wraps could not be taken back.
const DRAWN: usize = 78;
/// Longest line of details.
const WIDTH: usize = 88;
/// Without a terminal: pause between two signs of life that say the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// A heading.
pub(crate) fn chapter(title: &str) {
    println!("\n{title}");
}

/// Text below a step. What is indented stays so.
pub(crate) fn detail(text: &str) {
    let indent = " ".repeat(text.len() - text.trim_start().len());
    for line in wrapped(text.trim_start(), WIDTH) {
        println!("{:<10} {indent}{line}", "");
    }
}

/// Text in lines of at most `width` characters, broken between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Why the story ends here, on standard error.
pub(crate) fn failure(error: &anyhow::Error) {
    erase();
    // There is nobody left to tell where this cannot be written.
    _ = writeln!(std::io::stderr(), "demo: {error:#}");
}

/// One step of the story, while it goes on.
pub(crate) struct Step {
    who: String,
    started: Instant,
    said: Option<(String, Instant)>,
}

impl Step {
    /// Begins a step of this actor.
    pub(crate) fn begin(who: &str) -> Self {
        Self { who: who.to_owned(), started: Instant::now(), said: None }
    }

    /// A sign of life: what is waited for, and what is to be said behind it.
    pub(crate) fn wait(&mut self, what: &str, aside: &str) {
        let now = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        if stdout().is_terminal() {
            let line = format!("{:<10} {what}, {seconds:.0} s{aside}", self.who);
            let line: String = line.chars().take(DRAWN).collect();
            print!("\r\x1b[2K{line}");
            _ = stdout().flush();
            return;
        }
        let news = self
            .said
            .as_ref()
            .is_none_or(|(before, at)| before != what || now.duration_since(*at) >= PATIENCE);
        if news {
            println!("{:<10}   … {what}{aside}", self.who);
            self.said = Some((what.to_owned(), now));
        }
    }

    /// Ends the step: what came of it, and how long it took.
    pub(crate) fn done(self, text: &str) {
        erase();
        println!("{}", line(&self.who, text, self.started.elapsed()));
    }
}

fn line(who: &str, text: &str, took: Duration) -> String {
    format!("{who:<10} {text:<52} {:>6.1} s", took.as_secs_f64())
}

/// Takes a drawn line back.
fn erase() {
    if stdout().is_terminal() {
        print!("\r\x1b[2K");
        _ = stdout().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable x", 3), ["unbreakable", "x"]);
        assert!(wrapped("", 3).is_empty());
    }

    #[test]
    fn lines_have_the_columns_of_dev() {
        let text = line("acme", "web is live", Duration::from_millis(7_340));
        assert!(text.starts_with("acme       web is live   "), "{text}");
        assert!(text.ends_with("    7.3 s"), "{text}");
    }
}
