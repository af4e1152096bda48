//! Programs that people use, doing what people do with them.

use crate::harness::proof::{Output, Program};
use std::fmt::Write;

/// 10,000 inserts, of which each of the first 200 is a transaction of its own; then changes, and a
/// vacuum.
fn inserts(journal: &str) -> String {
    let mut sql = format!(
        "PRAGMA journal_mode={journal};\nCREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value \
            REAL);\nCREATE INDEX by_name ON t(name);\n"
    );
    for i in 0..10_000 {
        if i >= 200 && i % 200 == 0 {
            sql.push_str("BEGIN;\n");
        }
        writeln!(sql, "INSERT INTO t(name, value) VALUES('name {}', {i}.5);", i * 7919 % 10_007)
            .unwrap();
        if i >= 200 && i % 200 == 199 {
            sql.push_str("COMMIT;\n");
        }
    }
    sql + "DELETE FROM t WHERE id % 3 = 0;\nUPDATE t SET value = value * 2 WHERE id % 5 = \
        0;\nVACUUM;\nPRAGMA integrity_check;\n\
           SELECT count(*), sum(value), min(name), max(name) FROM t;\n"
}

#[test]
fn sqlite_rollback_journal() {
    let proved = Program::new(["/usr/bin/sqlite3", "test.db"]).input(inserts("DELETE")).proved();
    assert!(
        proved.recorded.stdout.ends_with("ok\n6667|99994999.0|name 0|name 9999\n")
            || proved.recorded.stdout.contains("ok\n6667|"),
        "{}",
        proved.recorded.stdout
    );
}

#[test]
fn sqlite_write_ahead_log() {
    let proved = Program::new(["/usr/bin/sqlite3", "test.db"]).input(inserts("WAL")).proved();
    assert!(proved.recorded.stdout.contains("ok\n6667|"), "{}", proved.recorded.stdout);
}

#[test]
fn git() {
    let proved = Program::script(
        r#"
        export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.invalid
        export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.invalid
        export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
        export GIT_CONFIG_NOSYSTEM=1
        git init -q -b main r
        cd r
        i=0
        while [ $i -lt 200 ]; do
            mkdir -p d$((i % 10)); echo "file $i" > d$((i % 10))/f$i; i=$((i + 1))
        done
        git add .
        git commit -q -m one
        echo changed >> d1/f1
        git commit -q -a -m two
        git checkout -q -b side
        echo side > side.txt
        git add side.txt
        git commit -q -m three
        git checkout -q main
        git mv d2/f2 moved
        git commit -q -m four
        git merge -q -m merged side
        git gc -q
        git fsck --strict
        git log --format='%H %s'
        git status --short
        "#,
    )
    .proved();
    assert_eq!(proved.recorded.stdout.lines().count(), 5, "{}", proved.recorded.stdout);
}

/// Files of every kind that an archive can hold.
const MIXED: &str = r#"
    umask 022
    mkdir -p src/a/b src/empty
    i=0
    while [ $i -lt 30 ]; do echo "content of $i" > src/a/f$i; i=$((i + 1)); done
    head -c 300000 /dev/zero | tr '\0' 'z' > src/big
    ln src/a/f1 src/a/b/hard
    ln -s f1 src/a/soft
    ln -s /nonexistent/place src/dangling
    truncate -s 10M src/sparse
    printf middle | dd of=src/sparse bs=1 seek=5000000 conv=notrunc status=none
    setfattr -n user.colour -v blue src/a/f2
    setfattr -n user.shape -v round src/a
    mkfifo src/pipe
    chmod 640 src/a/f3
    chmod 2750 src/a/b
    touch -d 2001-02-03T04:05:06Z src/a/f4 src/a
"#;

/// A repository that was there before: the trace must tell what git found in it.
#[test]
fn git_in_a_repository_that_was_there() {
    let identity = "export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.invalid \
        GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.invalid
        export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z' \
        GIT_CONFIG_NOSYSTEM=1";
    let before = format!(
        "{identity}\n git init -q -b main . && for i in 1 2 3 4 5 6 7 8 9; do mkdir -p d$i; echo \
            $i > d$i/f; git add .; git commit -q -m $i; done"
    );
    let then = format!(
        "{identity}\n git status --short; echo more >> d3/f; git rm -q d4/f; git commit -q -a -m \
            more; git log -p --stat --format='%H %s'; git repack -q -a -d; git checkout -q HEAD~3; \
            cat d4/f"
    );
    Program::script(&then).before(&before).proved();
}

#[test]
fn sqlite_on_a_database_that_was_there() {
    let before = "sqlite3 t.db 'CREATE TABLE t(a, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
        SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, hex(i * 7919) FROM n'";
    let sql = "SELECT count(*), max(a) FROM t; UPDATE t SET b = 'x' WHERE a % 100 = 0; DELETE FROM \
        t WHERE a > 15000; SELECT sum(a) FROM t WHERE b = 'x';\n";
    let proved = Program::new(["/usr/bin/sqlite3", "t.db"]).input(sql).before(before).proved();
    assert_eq!(proved.recorded.stdout, "20000|20000\n1132500\n");
}

#[test]
fn a_tree_that_was_there() {
    let then =
        "tar --xattrs --sparse -cf all.tar src; grep -r content src > found || true; sed -i \
        s/content/CONTENT/ src/a/f7; mv src/a/f8 .; rm src/a/f9; rmdir src/empty
        ln src/a/f1 another; chmod 600 src/a/b/hard; truncate -s 5 src/a/f10; echo x >> src/a/f11; \
        cp -a src/a copied; ls -lR --time-style=+ src; du -a src | wc -l";
    Program::script(then).before(MIXED).proved();
}

#[test]
fn tar() {
    Program::script(&format!(
        "{MIXED}
        tar --xattrs --sparse -cf all.tar src
        mkdir out
        tar --xattrs -xf all.tar -C out
        tar --xattrs -df all.tar -C out
        getfattr -d out/src/a/f2
        stat -c '%n %h %s %F' out/src/a/b/hard out/src/sparse out/src/a/soft"
    ))
    .proved();
}

#[test]
fn cp_archive() {
    Program::script(&format!(
        "{MIXED}
        cp -a src copy
        cp --reflink=auto --sparse=always src/sparse again
        cmp src/sparse again
        diff -r --no-dereference -x pipe src copy
        stat -c '%n %h %s %F' copy/a/b/hard copy/pipe"
    ))
    .proved();
}

#[test]
fn mv_across_directories() {
    Program::script(&format!(
        "{MIXED}
        mkdir -p x/y z
        mv src/a x/y/
        mv src/big src/sparse z/
        mv x/y/a/f5 x/y/a/f6
        mv -n x/y/a/f7 x/y/a/f8
        mv x/y z/deep
        ! mv z z/deep 2> said
        cat said
        find . | sort"
    ))
    .proved();
}

#[test]
fn rsync_local() {
    Program::script(&format!(
        "{MIXED}
        rsync -aHX src/ dst/
        echo more >> src/a/f9
        rm src/a/f10
        mv src/a/f11 src/a/f12
        rsync -aHX --delete --checksum src/ dst/
        diff -r --no-dereference -x pipe src dst
        rsync -a --inplace --no-whole-file src/big src/a/f9 dst/
        cat dst/a/f9"
    ))
    .proved();
}

/// A C project of a dozen files, written by the program itself so that the trace knows it from
/// birth.
const PROJECT: &str = r#"
    mkdir p
    cd p
    i=0
    objects=
    while [ $i -lt 10 ]; do
        printf '#include "all.h"\nint part%d(int x) { return x * %d + 1; }\n' $i $i > part$i.c
        echo "int part$i(int);" >> all.h
        objects="$objects part$i.o"
        i=$((i + 1))
    done
    {
        printf '#include "all.h"\n#include <stdio.h>\n'
        printf 'int main(void) { printf("%%d\\n", part3(4) + part9(1)); return 0; }\n'
    } > main.c
    {
        printf 'prog: main.o%s\n\tgcc -o $@ $^\n%%.o: %%.c all.h\n' "$objects"
        printf '\tgcc -O1 -c -o $@ $<\nclean:\n\trm -f *.o prog\n'
    } > Makefile
"#;

#[test]
fn make_with_gcc() {
    let proved = Program::script(&format!(
        "{PROJECT}\n make -j2\n ./prog\n touch all.h\n rm part1.o\n make \
            -j2 prog\n ar rcs lib.a part*.o\n nm lib.a | wc -l"
    ))
    .output(Output::Lines)
    .proved();
    assert!(proved.recorded.stdout.contains("\n23\n"), "{}", proved.recorded.stdout);
}

const PYTHON: &str = r#"
import os, shutil, sys, tempfile, json, pathlib, sqlite3, zipfile, gzip

def tree(path):
    for entry in sorted(os.scandir(path), key=lambda e: e.name):
        kind = 'l' if entry.is_symlink() else 'd' if entry.is_dir() else 'f'
        status = entry.stat(follow_symlinks=False)
        size = '' if kind == 'd' else status.st_size
        print(kind, os.path.relpath(entry.path), status.st_mode, size)
        if kind == 'd':
            tree(entry.path)

with tempfile.TemporaryDirectory(dir='.') as where:
    for i in range(50):
        with tempfile.NamedTemporaryFile('w+', dir=where, delete=i % 2 == 0) as f:
            f.write('line %d\n' % i * 100)
            f.flush()
            f.seek(0)
            assert len(f.readlines()) == 100
    with tempfile.TemporaryFile(dir=where) as f:
        f.write(b'x' * 100000)
        f.truncate(5000)
        assert f.seek(0, 2) == 5000
    with tempfile.SpooledTemporaryFile(max_size=10, dir=where) as f:
        f.write(b'more than ten bytes')
    shutil.copytree(where, 'copied')
    print(len(os.listdir('copied')))
shutil.rmtree('copied')

os.makedirs('a/b/c')
pathlib.Path('a/text').write_text('héllo\n' * 1000)
pathlib.Path('a/b/data').write_bytes(bytes(range(256)) * 64)
os.symlink('../text', 'a/b/link')
os.link('a/text', 'a/b/c/hard')
shutil.copy2('a/text', 'a/b/copy')
shutil.copytree('a', 'z', symlinks=True)
shutil.move('z/b', 'moved')
os.replace('moved/data', 'z/data')
os.chmod('z/text', 0o600)
os.setxattr('z/text', 'user.kind', b'text')
print(os.listxattr('z/text'), os.getxattr('z/text', 'user.kind'))
with zipfile.ZipFile('all.zip', 'w') as archive:
    archive.writestr('one', 'uno' * 1000)
with gzip.open('all.gz', 'wb', compresslevel=1) as f:
    f.write(b'zip' * 10000)
json.dump({'a': [1, 2, 3]}, open('a.json', 'w'))
fd = os.open('vectored', os.O_RDWR | os.O_CREAT, 0o644)
os.writev(fd, [b'one', b'two', b'three'])
os.pwritev(fd, [b'ONE'], 0)
os.posix_fallocate(fd, 0, 8192)
print(os.preadv(fd, [bytearray(4), bytearray(4)], 1), os.fstat(fd).st_size)
os.close(fd)
out = open('gathered', 'wb')
with open('z/data', 'rb') as source:
    while os.sendfile(out.fileno(), source.fileno(), None, 5000):
        pass
out.close()
ranged = os.open('ranged', os.O_WRONLY | os.O_CREAT)
os.copy_file_range(os.open('gathered', os.O_RDONLY), ranged, 10000)
tree('.')
print(sum(len(files) for _, _, files in os.walk('.')))
sys.exit(3)
"#;

#[test]
fn python() {
    let proved = Program::new(["/usr/bin/python3", "-I", "-B", "-c", PYTHON]).proved();
    assert_eq!(proved.recorded.end(), (Some(3), None));
}

#[test]
fn dash_with_pipes_and_subshells() {
    let proved = Program::script(
        r#"
        mkdir d
        (cd d && for i in 1 2 3 4 5; do echo "line $i"; done > lines
            umask 077; echo private > private)
        cat d/lines | tr a-z A-Z | sort -r | tee upper | head -2
        { echo one; echo two; } > braces
        exec 5>>d/lines
        echo appended >&5
        (echo from a subshell >&5; exec 5>&-; echo again >> d/lines)
        echo last >&5
        exec 5>&-
        while read -r a b; do echo "$b $a"; done < d/lines
        x=$(grep -c line d/lines)
        [ "$x" -eq 5 ]
        (exit 3) || echo "subshell said $?"
        sh -c 'kill -TERM $$' || echo "killed: $?"
        yes | head -1000 | wc -l
        cat <<END > here
document $x
END
        cp here there && rm here && mv there here
        (sleep 0.1; echo late > late) & wait
        trap 'echo trapped > trapped; exit 9' EXIT
        "#,
    )
    .proved();
    assert_eq!(proved.recorded.end(), (Some(9), None));
}

/// Four threads that read and write one file, their parts of it overlapping.
#[test]
fn fio_four_threads_one_file() {
    let fio = "fio --name=j --ioengine=psync --thread --numjobs=4 --filename=data --size=2m \
        --offset_increment=2m --filesize=8m --rw=randrw --bs=4k --fsync=64 \
               --verify=crc32c --output=said";
    let proved = Program::script(fio).output(Output::Varies).proved();
    assert!(proved.info["threads"].as_u64() > Some(4), "{}", proved.info);
}

/// The same blocks by all four.
#[test]
fn fio_four_threads_the_same_blocks() {
    let fio = "fio --name=j --ioengine=psync --thread --numjobs=4 --filename=data --size=1m \
        --rw=randrw --bs=4k --fsync=64 --refill_buffers --output=said";
    let proved = Program::script(fio).output(Output::Varies).proved();
    assert!(proved.info["threads"].as_u64() > Some(4), "{}", proved.info);
}

const UNREADABLE: &str = r"
    mkdir -p t/locked/inner t/searchable t/readable t/deep/er
    echo x > t/locked/f
    echo x > t/searchable/f
    echo x > t/readable/f
    echo x > t/secret
    ln -s nowhere t/dangling
    ln -s loop t/loop
    ln -s locked/f t/through
    mkfifo t/fifo
    chmod 000 t/locked t/secret
    chmod 100 t/searchable
    chmod 400 t/readable
    touch -d 2001-02-03T04:05:06Z -h t/dangling t/loop t/through t/fifo
";

#[test]
fn find_where_not_all_is_readable() {
    let proved = Program::script(&format!(
        "{UNREADABLE}\n find t -type f -newermt 2000-01-01 | sort\n find -L t -ls > listed 2> \
            complaints || sort complaints\n find t -name f"
    ))
    .ordinary()
    .output(Output::Lines)
    .proved();
    assert_eq!(proved.recorded.end(), (Some(1), None), "{:?}", proved.recorded);
    assert!(proved.recorded.stderr.contains("Permission denied"), "{}", proved.recorded.stderr);
}

#[test]
fn ls_where_not_all_is_readable() {
    let proved =
        Program::script(&format!("{UNREADABLE}\n ls -lR --time-style=+ t\n")).ordinary().proved();
    assert_eq!(proved.recorded.end(), (Some(1), None), "{:?}", proved.recorded);
    assert!(proved.recorded.stderr.contains("Permission denied"), "{}", proved.recorded.stderr);
}
