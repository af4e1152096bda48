#!/bin/sh
# kernels.sh PROGRAM: boots Debian's own kernels in QEMU, without KVM, with the program in an
# initramfs, and runs a short suite there.
set -eu
program=$1
kernels="linux-image-cloud-amd64 linux-image-6.12-cloud-amd64"
top=$(cd "$(dirname "$0")/.." && pwd)
place=$top/target/kernels
mkdir -p "$place"

# A file and the libraries that it wants, at the same places in the initramfs.
take() {
    for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ )]*' || true); do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

root=$place/root
rm -rf "$root"
mkdir -p "$root/proc" "$root/sys" "$root/tmp" "$root/dev" "$root/bin" "$root/etc"
cp "$program" "$root/reanimator"
for file in "$program" /usr/bin/sqlite3 /usr/bin/dd; do take "$file"; done
rm -rf "${root:?}/${program#/}"
gcc -O1 -pthread -o "$place/calls" "$top/tests/tracees/calls.c"
take "$place/calls"
mv "$root$place/calls" "$root/calls"
gcc -O1 -o "$place/rings" "$top/tests/tracees/rings.c"
take "$place/rings"
mv "$root$place/rings" "$root/rings"
gcc -O1 -pthread -o "$place/maps" "$top/tests/tracees/maps.c"
take "$place/maps"
mv "$root$place/maps" "$root/maps"
cp /bin/busybox "$root/bin/busybox"
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
mount -t devtmpfs none /dev 2>/dev/null
mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up 2>/dev/null
export PATH=/bin:/usr/bin
cd /tmp
/reanimator doctor | grep -E "kernel|eBPF"
failed=0
prove() { # NAME ENGINE COMMAND..
    name=$1; engine=$2; shift 2
    rm -rf w root t.ra; mkdir w
    said=$(cd w && /reanimator record --engine $engine -o ../t.ra -- "$@" 2>&1 | tail -1)
    verdict=$(/reanimator -q info --json t.ra | grep -o '"verdict": *"[a-z]*"')
    report=$(/reanimator -q replay --json --root root t.ra 2>&1)
    different=$(echo "$report" | grep -cE '"(divergences|different)": *[1-9]')
    case "$verdict$different" in
    *'"complete"0') word=ok ;;
    *)
        word=FAILED
        failed=1
        echo "$said"
        echo "$report" | head -40
        ;;
    esac
    echo "CHECK $word: $name, $engine"
}
script='for i in 1 2 3 4 5 6 7 8 9; do echo $i > f$i; cat f$i | tr 1 2 > g$i; mv g$i h$i; done
    mkdir d; mv h1 d; rm f2; ls -l'
sql="create table t(a, b); insert into t values(1, 'x'); insert into t select a + 1, b || b from t;
    insert into t select a + 2, b || b from t; update t set a = a + 1; vacuum;
    select count(*) from t;"
for engine in ebpf ptrace; do
    prove script $engine /bin/sh -c "$script"
    prove sqlite $engine /usr/bin/sqlite3 t.db "$sql"
    prove calls $engine /calls
    prove large $engine /usr/bin/dd if=/dev/zero of=big bs=3000001 count=5
    for way in threads forked changed renamed killed; do
        prove "maps $way" $engine /maps $way
    done
done
for how in basic polled names registered links cancelled overflowing silent; do
    prove "rings $how" ebpf /rings $how
done
[ $failed = 0 ] && echo SUITE PASSED || echo SUITE FAILED
poweroff -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 >"$place/initramfs.gz")

bad=0
for package in $kernels; do
    # Lists that are old do not know the newest.
    apt-cache show "$package" >/dev/null 2>&1 || apt-get update -qq
    real=$(apt-cache depends "$package" | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -1)
    if [ ! -e "$place/$real" ]; then
        (
            cd "$place" && apt-get download -qq "$real" &&
                dpkg -x "$real"_*.deb "$real.new" && rm "$real"_*.deb &&
                mv "$real.new" "$real"
        )
    fi
    echo "== $real"
    timeout 420 qemu-system-x86_64 -m 3072 -smp 2 -nographic -no-reboot \
        -kernel "$place/$real"/boot/vmlinuz-* -initrd "$place/initramfs.gz" \
        -append "console=ttyS0 quiet panic=-1 rdinit=/init" >"$place/$real.log" 2>&1 </dev/null || true
    grep -aE "CHECK|SUITE|record: eBPF|kernel  " "$place/$real.log" || tail -20 "$place/$real.log"
    grep -aq "SUITE PASSED" "$place/$real.log" || bad=1
done
exit $bad
