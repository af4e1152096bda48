//! The fenced blocks of a page.

/// A block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// The first word behind the fence.
    pub language: String,
    /// Why it cannot be run.
    pub norun: Option<String>,
    /// The status that it ends with.
    pub status: i32,
    /// What stands in it.
    pub text: String,
}

impl Block {
    /// It is for the Python interpreter.
    pub fn queries(&self) -> bool {
        matches!(&*self.language, "python" | "sql")
    }

    /// The commands of a console: what follows `$ `, with what follows `> ` right after it.
    pub fn commands(&self) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        let mut open = false;
        for line in self.text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
                open = true;
            } else if let (true, Some(more), Some(last)) =
                (open, line.strip_prefix("> "), commands.last_mut())
            {
                last.push('\n');
                last.push_str(more);
            } else {
                open = false;
            }
        }
        commands
    }
}

/// The blocks of a page, or what is wrong with how they are written.
pub fn blocks(page: &str) -> Result<Vec<Block>, Vec<String>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let mut open: Option<Block> = None;
    let (mut before, mut in_list) = ("", false);
    for (i, line) in page.lines().enumerate() {
        let number = i + 1;
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(info), None) => match opened(number, info) {
                Ok(block) => open = Some(block),
                Err(why) => {
                    wrong.push(format!("line {number}: {why}"));
                    open = Some(Block::default());
                }
            },
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {
                if line.starts_with("    ") && before.trim().is_empty() && !in_list {
                    wrong.push(format!("line {number}: code stands between fences: ```sh"));
                }
                if !line.is_empty() && !line.starts_with(' ') {
                    in_list = line.starts_with(['-', '*', '0', '1', '2', '3', '4', '5']);
                }
            }
        }
        before = line;
    }
    if open.is_some() {
        wrong.push("the last fence is not closed".to_owned());
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// What a fence says: ```` ```sh status=1 norun="it takes a disk" ````.
fn opened(line: usize, info: &str) -> Result<Block, String> {
    let (language, mut rest) = info.split_once(' ').unwrap_or((info, ""));
    let mut block = Block { line, language: language.to_owned(), ..Block::default() };
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("norun=\"") {
            let (why, after) = after.split_once('"').ok_or("norun=\" is not closed")?;
            if why.trim().is_empty() {
                return Err("norun says why".to_owned());
            }
            block.norun = Some(why.to_owned());
            rest = after;
        } else if let Some(after) = rest.strip_prefix("status=") {
            let (status, after) = after.split_once(' ').unwrap_or((after, ""));
            block.status = status.parse().map_err(|_| format!("status={status} is no number"))?;
            rest = after;
        } else {
            return Err(format!("{rest} means nothing: there are norun=\"WHY\" and status=N"));
        }
    }
    Ok(block)
}

#[test]
fn fences_say_how() {
    let page =
        "```sh status=1 norun=\"no disk\"\nx\n```\n```console\n$ a \\\n> b\nout\n> c\n$ d\n```\n";
    let found = blocks(page).unwrap();
    assert_eq!((found[0].status, found[0].norun.as_deref()), (1, Some("no disk")));
    assert_eq!(found[1].commands(), ["a \\\nb", "d"]);
    assert!(blocks("```sh norun=\"\"\n```\n").is_err());
    assert!(blocks("```sh x=1\n```\n").is_err());
    assert!(blocks("text\n\n    indented\n").is_err());
    assert!(blocks("- item\n\n    more of it\n").is_ok());
}
