#!/bin/sh
# demo.sh REANIMATOR: records a real SQLite workload, performs it again in an empty directory, and
# fails unless all was the same.
set -eu
ra=$(realpath "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/reanimator-demo.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"

step() {
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        printf '\n\033[1m%s\033[0m\n' "$*"
    else
        printf '\n%s\n' "$*"
    fi
}
run() {
    step "\$ reanimator $*"
    "$ra" "$@"
}

# 500 transactions of one insert with a rollback journal, 9,500 inserts in transactions of 100 with
# a write-ahead log, then queries, updates and a vacuum.
awk 'function insert(i) {
    printf "insert into account values(%d, \047owner-%d\047, ", i, i % 97
    printf "%d, randomblob(%d));\n", i * 37 % 10007, i % 400
}
BEGIN {
    print "create table account(id integer primary key, owner text not null,"
    print "    cents integer not null, note blob);"
    print "create index by_owner on account(owner);"
    for (i = 1; i <= 500; i++) insert(i)
    print "pragma journal_mode = wal;"
    for (i = 501; i <= 10000; i++) {
        if (i % 100 == 1) print "begin;"
        insert(i)
        if (i % 100 == 0) print "commit;"
    }
    print "update account set cents = cents + 100 where owner = \047owner-42\047;"
    print "select count(*), sum(cents) from account;"
    print "delete from account where id % 3 = 0;"
    print "pragma journal_mode = delete;"
    print "vacuum;"
    print "pragma integrity_check;"
}' >workload.sql

run record -o sqlite.ra -- sqlite3 bank.db ".read workload.sql"
run info sqlite.ra
step "\$ reanimator print -y -T -s 16 -e 'path=*-journal' -e '!%stat' sqlite.ra | head"
"$ra" print -y -T -s 16 -e 'path=*-journal' -e '!%stat' sqlite.ra | head
status=0
run replay --root "$dir/elsewhere" sqlite.ra || status=$?

step "\$ cmp bank.db elsewhere$dir/bank.db"
if cmp bank.db "$dir/elsewhere$dir/bank.db" && [ "$status" -eq 0 ]; then
    echo "The database that replay made is the same, byte for byte."
else
    echo "demo: the replay was different (reanimator replay ended with $status)" >&2
    exit 1
fi
