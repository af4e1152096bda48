#!/bin/sh
# seeds.sh PROGRAM DIR: writes the inputs that fuzzing begins with to DIR/TARGET, from
# tests/fixtures and from what PROGRAM records now.
set -eu
program=$(realpath "$1")
mkdir -p "$2"
dir=$(realpath "$2")
fixtures=$(realpath "$(dirname "$0")/../tests/fixtures")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for target in strace perf kdump blktrace ctf dataseries sealed journal replay; do
    mkdir -p "$dir/$target"
done

# Packs files below a directory as `unpack` of src/lib.rs expects them.
pack() ( # DIRECTORY FILE..
    cd "$1"
    shift
    for file; do
        printf '\377FILE:%s\n' "$file"
        cat "$file"
    done
)

cp "$fixtures/strace.txt" "$dir/strace/"
cp "$fixtures"/perf-*.txt "$dir/perf/"
cp "$fixtures/kdump.txt" "$dir/kdump/"
cp "$fixtures"/blk*.txt "$dir/blktrace/"
for name in dd meta; do
    gzip -dc "$fixtures/dataseries/$name.ds.gz" >"$dir/dataseries/$name"
    # The beginning of the streams, and of the metadata, which may be plain text as well: short
    # inputs are mutated faster.
    tar xzf "$fixtures/ctf/$name.tar.gz" -C "$tmp"
    (
        cd "$tmp/$name/kernel"
        tr -cd '[:print:]\n\t' <metadata | sed '1s/^.*typealias/typealias/' | head -c 16000 >text
        { echo '/* CTF 1.8 */'; cat text; } >metadata
        for stream in ch_*; do head -c 8192 "$stream" >short; mv short "$stream"; done
    )
    pack "$tmp/$name/kernel" metadata ch_0 ch_1 >"$dir/ctf/$name"
done
mkdir "$tmp/made-up"
cp "$fixtures/ctf/made-up.tsdl" "$tmp/made-up/metadata"
head -c 4096 "$tmp/dd/kernel/ch_0" >"$tmp/made-up/ch_0"
pack "$tmp/made-up" metadata ch_0 >"$dir/ctf/made-up"

tar xzf "$fixtures/trace-1.1.tar.gz" -C "$tmp"
script='umask 22; mkdir d; echo content >d/f; cat d/f >g; ln -s g h; ln g i; mv g d/g; ls -l . d
    chmod 4755 d/f; dd if=d/f of=j bs=2 count=2 2>/dev/null; truncate -s 1000000 k
    touch -d @5 k; rm h; cd d; echo more >>f; rm g nothing 2>/dev/null; mkfifo p; (cd ..; ls)'
# A recorder that is killed leaves its journal.
killed='umask 22; echo content >f; read -r line <f; mkdir d; mv f d/g; ln -s g d/h; cd d
    echo more >>g; sleep 1; kill -9 $PPID'
record() { # TRACE ENGINE DATA SCRIPT
    mkdir "$tmp/work"
    (cd "$tmp/work" && env -i PATH="$PATH" "$program" -q record --engine "$2" --data "$3" \
        -o "$1" -- sh -c "$4") >/dev/null 2>&1 || [ "$4" = "$killed" ]
    rm -r "$tmp/work"
}
engines=ptrace
[ "$(id -u)" -ne 0 ] || engines="ptrace ebpf"
for engine in $engines; do
    record "$tmp/$engine.ra" "$engine" all "$script"
    for data in all none; do
        trace=$tmp/killed-$engine-$data.ra
        record "$trace" "$engine" $data "$killed"
        # shellcheck disable=SC2046 # names without spaces
        pack "$trace" trace.json $(cd "$trace" && find journal -type f) \
            >"$dir/journal/$engine-$data"
    done
done
cp "$dir"/journal/* "$dir/replay/"
for trace in "$tmp/old.ra" "$tmp/ptrace.ra" "$tmp/ebpf.ra"; do
    [ -d "$trace" ] || continue
    # shellcheck disable=SC2046 # the same
    pack "$trace" trace.json $(cd "$trace" && echo *.parquet) \
        >"$dir/sealed/$(basename "$trace" .ra)"
done
"$program" -q convert "$tmp/ptrace.ra" "$dir/dataseries/written.ds"
