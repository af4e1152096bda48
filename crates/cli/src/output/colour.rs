//! Colours of verdicts, only on a terminal that wants them: `NO_COLOR`, `CLICOLOR`,
//! `CLICOLOR_FORCE` and `TERM` decide, as for clap's own messages.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::AnsiColor;
use comfy_table::{Attribute, Cell, Color};

/// The meaning of a coloured word. Each colour can be read on black and on white: no yellow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something to know.
    Fair,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// Returns the word as a coloured cell of a table.
    pub fn cell(self, word: &str) -> Cell {
        let colour = match self {
            Self::Good => Color::DarkGreen,
            Self::Fair => Color::DarkMagenta,
            Self::Bad => Color::DarkRed,
        };
        Cell::new(word).fg(colour).add_attribute(Attribute::Bold)
    }
}

/// Whether a stream takes colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Colours(bool);

impl Colours {
    /// Decides whether stdout or stderr gets colours.
    pub fn for_stream<S: RawStream>(stream: &S) -> Self {
        Self(AutoStream::choice(stream) != ColorChoice::Never)
    }

    /// Sets whether a table prints the colours of its cells.
    pub fn apply_to(self, table: &mut comfy_table::Table) {
        if self.0 {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
    }

    /// Returns the text with the escape sequences of its colour, or unchanged if there are no
    /// colours.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let colour = match tone {
            _ if !self.0 => return text.to_owned(),
            Tone::Good => AnsiColor::Green,
            Tone::Fair => AnsiColor::Magenta,
            Tone::Bad => AnsiColor::Red,
        };
        let style = colour.on_default().bold();
        format!("{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_they_are_wanted() {
        assert_eq!(Colours(true).paint(Tone::Bad, "broken"), "\x1b[1m\x1b[31mbroken\x1b[0m");
        assert_eq!(Colours::default().paint(Tone::Bad, "broken"), "broken");
    }
}
