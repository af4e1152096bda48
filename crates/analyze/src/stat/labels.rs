//! The columns of a batch of calls, and the number of each row's value of a key.

use super::By;
use super::paths::{self, Mounts};
use super::processes::Processes;
use super::texts::Texts;
use abi::IoClass;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use trace::Error;

/// Returns the column `name` of a batch of `file`. Fails if it is missing or of another type.
pub(super) fn column<A: Array + Clone + 'static>(
    file: &str,
    batch: &RecordBatch,
    name: &str,
) -> Result<A, Error> {
    let found = batch.column_by_name(name);
    found
        .and_then(|c: &ArrayRef| c.as_any().downcast_ref::<A>())
        .cloned()
        .ok_or_else(|| Error::damaged(file, format!("column {name} is missing or of another type")))
}

/// A column of text, as a dictionary; without one it is null in every row.
#[derive(Default)]
pub(super) struct TextColumn(Option<(UInt32Array, StringArray)>);

/// Returns the column of text `name` of a batch of `file`. `is_null`: it is null in every row.
pub(super) fn text_column(
    file: &str,
    batch: &RecordBatch,
    name: &str,
    is_null: bool,
) -> Result<TextColumn, Error> {
    if is_null {
        return Ok(TextColumn::default());
    }
    let column: DictionaryArray<UInt32Type> = column(file, batch, name)?;
    let values = column.values().as_any().downcast_ref::<StringArray>().cloned();
    let values = values.ok_or_else(|| Error::damaged(file, format!("column {name} is no text")))?;
    Ok(TextColumn(Some((column.keys().clone(), values))))
}

impl TextColumn {
    /// Returns the index in the dictionary of row `i`'s text, or `None` if it is null.
    pub fn key(&self, i: usize) -> Option<usize> {
        let (keys, _) = self.0.as_ref()?;
        (!keys.is_null(i)).then(|| keys.value(i) as usize)
    }

    /// Returns the text with this index.
    pub fn text(&self, key: usize) -> &str {
        self.0.as_ref().map_or("", |(_, values)| values.value(key))
    }

    /// Creates a place for what is computed once for each text.
    pub fn memo<T: Copy>(&self) -> Memo<T> {
        Memo(vec![None; self.0.as_ref().map_or(0, |(_, values)| values.len())])
    }
}

/// What was computed for the texts of a dictionary.
pub(super) struct Memo<T>(Vec<Option<T>>);

impl<T: Copy> Memo<T> {
    /// Returns what was computed for the text with this index, or computes it.
    pub fn get(&mut self, key: usize, compute: impl FnOnce() -> T) -> T {
        *self.0[key].get_or_insert_with(compute)
    }
}

/// The columns of a batch of calls. Columns that nothing asks for are `None`.
pub(super) struct Calls {
    pub rows: usize,
    pub entered: Int64Array,
    pub duration: Int64Array,
    pub call: TextColumn,
    pub variant: TextColumn,
    pub error: TextColumn,
    pub file: TextColumn,
    pub bytes: Int64Array,
    /// Since version 1.2 of the format.
    pub mode: Option<UInt32Array>,
    pub nr: Option<UInt32Array>,
    pub path: Option<TextColumn>,
    pub path2: Option<TextColumn>,
    pub pid: Option<UInt32Array>,
    pub tid: Option<UInt32Array>,
}

/// The columns that are always read.
pub(super) const ALWAYS: [&str; 8] =
    ["entered", "duration", "call", "variant", "error", "file", "bytes", "mode"];

impl Calls {
    /// Takes the columns of a batch of `file`; `columns` are those that were asked for, and
    /// `is_null` tells which of them are null in every row.
    pub fn new(
        file: &str,
        batch: &RecordBatch,
        columns: &[&str],
        is_null: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let text = |name| text_column(file, batch, name, is_null(name));
        let numbers = |name| {
            columns.contains(&name).then(|| column::<UInt32Array>(file, batch, name)).transpose()
        };
        let texts = |name| columns.contains(&name).then(|| text(name)).transpose();
        let entered: Int64Array = column(file, batch, "entered")?;
        if entered.null_count() > 0 {
            return Err(Error::damaged(file, "a call has no time"));
        }
        Ok(Self {
            rows: batch.num_rows(),
            entered,
            duration: column(file, batch, "duration")?,
            call: text("call")?,
            variant: text("variant")?,
            error: text("error")?,
            file: text("file")?,
            bytes: column(file, batch, "bytes")?,
            mode: batch.column_by_name("mode").and_then(|c| c.as_any().downcast_ref()).cloned(),
            nr: numbers("nr")?,
            path: texts("path")?,
            path2: texts("path2")?,
            pid: numbers("pid")?,
            tid: numbers("tid")?,
        })
    }

    /// Returns the class of each row, from the table of calls and the type of its file.
    pub fn classes(&self) -> Vec<IoClass> {
        let mut rows = self.call.memo::<(Option<&'static abi::Row>, IoClass)>();
        let mut variants = self.variant.memo::<(usize, IoClass)>();
        // By file: the mode that it had, and whether transfers wait.
        let mut files = self.file.memo::<(Option<u32>, IoClass, IoClass)>();
        let class = |i: usize| {
            let Some(call) = self.call.key(i) else { return IoClass::Other };
            let find_row = || {
                let row = abi::by_name(self.call.text(call));
                (row, row.map_or(IoClass::Other, |row| row.io_class(&row.spec)))
            };
            let class = match (rows.get(call, find_row), self.variant.key(i)) {
                ((None, class), _) | ((_, class), None) => class,
                ((Some(row), _), Some(key)) => {
                    let find = || {
                        let name = self.variant.text(key);
                        let of = |spec: &abi::CallSpec| spec.name == name;
                        let spec = row.variants.iter().map(|(_, spec)| spec).find(|s| of(s));
                        (call, row.io_class(spec.unwrap_or(&row.spec)))
                    };
                    let (of, class) = variants.get(key, find);
                    if of == call { class } else { find().1 }
                }
            };
            if !matches!(class, IoClass::Read | IoClass::Write) {
                return class;
            }
            let mode = self.mode.as_ref().filter(|m| !m.is_null(i)).map(|m| m.value(i));
            let Some(key) = self.file.key(i) else { return class.on_file(mode, None) };
            let find = || {
                let file = Some(self.file.text(key));
                (mode, IoClass::Read.on_file(mode, file), IoClass::Write.on_file(mode, file))
            };
            let (of, read, write) = files.get(key, find);
            let (_, read, write) = if of == mode { (of, read, write) } else { find() };
            if class == IoClass::Read { read } else { write }
        };
        (0..self.rows).map(class).collect()
    }

    /// Returns for each row whether `test` holds for its file, else for its path; `None` without
    /// either.
    pub fn test_files(&self, test: impl Fn(&str) -> bool) -> Vec<bool> {
        let file_or_path = |text: &str| u32::from(test(text)) + 1;
        self.file_numbers(file_or_path).into_iter().map(|number| number == 2).collect()
    }

    /// Returns for each row whether `test` holds for one of its file and paths.
    pub fn test_paths(&self, test: &dyn Fn(&str) -> bool) -> Vec<bool> {
        let mut has = vec![false; self.rows];
        for column in
            [Some(&self.file), self.path.as_ref(), self.path2.as_ref()].into_iter().flatten()
        {
            let mut memo = column.memo();
            for (i, has) in has.iter_mut().enumerate() {
                let holds = |key: usize| memo.get(key, || test(column.text(key)));
                *has = *has || column.key(i).is_some_and(holds);
            }
        }
        has
    }

    /// Returns for each row what `number` says of its file, else of its path, else 0.
    fn file_numbers(&self, number: impl Fn(&str) -> u32) -> Vec<u32> {
        let mut files = self.file.memo();
        let mut paths = self.path.as_ref().map(|path| (path, path.memo()));
        let of_row = |i: usize| {
            if let Some(key) = self.file.key(i) {
                return files.get(key, || number(self.file.text(key)));
            }
            let Some((path, memo)) = &mut paths else { return 0 };
            path.key(i).map_or(0, |key| memo.get(key, || number(path.text(key))))
        };
        (0..self.rows).map(of_row).collect()
    }
}

/// The texts of a key, and what is needed to number the rows of a batch by it.
pub(super) struct Key {
    pub by: By,
    pub texts: Texts,
    processes: Processes,
    classes: Vec<u32>,
}

impl Key {
    /// Prepares a key. Reads the table of processes if the key needs it.
    pub fn new(by: By, trace: &trace::Trace) -> Result<Self, Error> {
        let texts = Texts::default();
        let processes = match by {
            By::Process | By::Exe | By::Thread => Processes::read(trace, by, &texts)?,
            _ => Processes::default(),
        };
        let classes = match by {
            By::Class => IoClass::ALL.iter().map(|class| texts.number(class.name())).collect(),
            _ => Vec::new(),
        };
        Ok(Self { by, texts, processes, classes })
    }

    /// Returns the number of each row's text, 0 where it has none. `classes` are the classes of the
    /// rows.
    pub fn numbers(&self, calls: &Calls, classes: &[IoClass], mounts: &Mounts) -> Vec<u32> {
        let number = |text: Option<&str>| text.map_or(0, |text| self.texts.number(text));
        match self.by {
            By::Call => self.of_column(&calls.call, calls.rows),
            By::Errno => self.of_column(&calls.error, calls.rows),
            By::Path => match &calls.path {
                Some(path) => self.of_column(path, calls.rows),
                None => vec![0; calls.rows],
            },
            By::Class => classes.iter().map(|class| self.classes[*class as usize]).collect(),
            By::File => calls.file_numbers(|file| self.texts.number(file)),
            By::Dir(depth) => calls.file_numbers(|file| number(paths::directory(file, depth))),
            By::Ext => calls.file_numbers(|file| number(paths::extension(file))),
            By::Fs => calls.file_numbers(|file| number(mounts.file_system(file).as_deref())),
            By::Process | By::Exe => self.of_processes(calls, calls.pid.as_ref()),
            By::Thread => self.of_processes(calls, calls.tid.as_ref()),
            By::Size => self.of_sizes(calls),
        }
    }

    fn of_column(&self, column: &TextColumn, rows: usize) -> Vec<u32> {
        let mut numbers = column.memo();
        let number = |key: usize| numbers.get(key, || self.texts.number(column.text(key)));
        let mut number = number;
        (0..rows).map(|i| column.key(i).map_or(0, &mut number)).collect()
    }

    fn of_processes(&self, calls: &Calls, ids: Option<&UInt32Array>) -> Vec<u32> {
        let Some(ids) = ids else { return vec![0; calls.rows] };
        let number = |i: usize| {
            let (id, time) = (ids.value(i), calls.entered.value(i) as u64);
            self.processes.number(id, time).unwrap_or_else(|| match self.by {
                By::Exe => 0,
                _ => self.texts.number(&id.to_string()),
            })
        };
        (0..calls.rows).map(number).collect()
    }

    fn of_sizes(&self, calls: &Calls) -> Vec<u32> {
        let mut numbers = [None; 65];
        let number = |i: usize| {
            if calls.bytes.is_null(i) {
                return 0;
            }
            let bits = 64 - calls.bytes.value(i).max(0).leading_zeros();
            *numbers[bits as usize].get_or_insert_with(|| self.texts.number(&size_class(bits)))
        };
        (0..calls.rows).map(number).collect()
    }
}

/// Returns the text for numbers of bytes that have so many bits: `[4K, 8K)`.
fn size_class(bits: u32) -> String {
    let unit = |shift: u32| match shift {
        0..10 => (1u64 << shift).to_string(),
        10..20 => format!("{}K", 1u64 << (shift - 10)),
        20..30 => format!("{}M", 1u64 << (shift - 20)),
        30..40 => format!("{}G", 1u64 << (shift - 30)),
        _ => format!("{}T", 1u64 << shift.min(63).saturating_sub(40)),
    };
    match bits {
        0 => "0".to_owned(),
        1 => "1".to_owned(),
        _ => format!("[{}, {})", unit(bits - 1), unit(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes() {
        let of = |n: u64| size_class(64 - n.leading_zeros());
        assert_eq!([of(0), of(1), of(2), of(3)], ["0", "1", "[2, 4)", "[2, 4)"]);
        assert_eq!([of(512), of(4096)], ["[512, 1K)", "[4K, 8K)"]);
        assert_eq!([of(1 << 20), of(1 << 41)], ["[1M, 2M)", "[2T, 4T)"]);
        assert_eq!(size_class(63), "[4194304T, 8388608T)");
    }
}
