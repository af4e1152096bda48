//! Programs that mount file systems or change their root: names mean what they meant there. These
//! tests want root.

use crate::harness::place::{Place, Watch};
use crate::harness::proof::{Program, same_again};
use crate::harness::run::run;
use crate::harness::tracee::tracee;

/// A script in a mount namespace of its own.
fn unshared(script: &str) -> Program {
    Program::new(["/usr/bin/unshare", "-m", "/bin/dash", "-euc", script])
}

#[test]
fn what_is_mounted_on_a_name_is_what_it_means() {
    unshared(
        "mkdir -p a/sub b c; echo 1 >a/f; echo under >b/f; mount --bind a b; echo 2 >>b/f
        cat b/f a/f; echo new >b/n; mkdir b/sub/d; ln -s b l; echo through >l/t; cat l/t
        cd b; echo here >h; cat ../a/h; cd ..; mount --bind b/sub c; echo deep >c/deep; ls a/sub
        mv b/n b/m; chmod 600 b/m; ln b/m b/k; rm l/t; umount b; cat b/f; echo last >>b/f
        mkdir c/e; umount c; ls -R .; rm l",
    )
    .proved();
}

#[test]
fn files_and_trees_are_mounted_too() {
    unshared(
        "mkdir -p t/in u v; echo a >a; echo b >b; mount --bind a b; cat b; echo more >>b; umount b
        cat b; mount --bind t/in u; mount --rbind . v; echo x >v/u/x; cat t/in/x u/x
        mount --make-rprivate v; mount --move u t; echo y >t/y; umount t; umount -l v; cat t/in/y",
    )
    .proved();
}

/// A file system of the program's own has no place in the root: what is there is left alone, and
/// nothing of it is put below its mount point.
#[test]
fn file_systems_of_the_program_are_left_alone() {
    let proved = unshared(
        "mkdir m o; echo under >m/f; echo kept >k; mount -t tmpfs none m; echo over >m/f
        mkdir m/d; cp k m/d/k; cat m/f m/d/k; cd m/d; echo 1 >>k; cat k ../f; cd ../..
        ln -s m/d/k l; cat l; mkdir m/b; mount --bind o m/b; echo out >m/b/x; umount m/b
        umount m; cat m/f o/x; rm l",
    )
    .proved();
    let skipped = proved.report["skipped_by"]["mounted by the program"].as_u64().unwrap_or(0);
    assert!(skipped > 8, "{}", proved.report);
}

/// What an overlay of the program puts into its upper directory no call did: that directory is left
/// alone from then on, by every process, whichever way the overlay was made.
#[test]
fn what_an_overlay_writes_is_left_alone() {
    let script = "mkdir low up wk m; echo low >low/a; echo both >low/b; echo was >up/was
        mount -t overlay none -o lowerdir=low,upperdir=up,workdir=wk m
        echo changed >>m/a; echo new >m/c; rm m/b; cat m/a >out; ls m >ls; cat up/a >upper
        umount m; cat up/c >after; ls up >>after; mv up/c up/d; echo more >>up/d; cat low/a";
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let argv = ["/usr/bin/unshare", "-m", "/bin/dash", "-euc", script];
        run(&mut place.record(&trace, &[], argv)).ok("record");
        let report = same_again(&place, &trace, &place.directory("root"));
        let skipped = report["skipped_by"]["mounted by the program"].as_u64().unwrap_or(0);
        assert!(skipped > 8, "{report:#}");
        let again = place.path("root").join(place.work().strip_prefix("/").unwrap());
        for name in ["low/a", "up/was", "out", "ls", "upper", "after"] {
            let left = |top: &std::path::Path| std::fs::read(top.join(name)).unwrap();
            assert_eq!(left(&again), left(&place.work()), "{name}");
        }
        assert!(!again.join("up/a").exists() && !again.join("up/d").exists(), "{report:#}");
    }
}

#[test]
fn nothing_leads_out_of_a_changed_root() {
    let proved = Program::new([tracee("roots").to_str().unwrap()]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
}

/// As package tools do it: a tree with a shell of its own.
#[test]
fn a_shell_in_a_tree_of_its_own() {
    Program::script(
        "for f in /bin/dash /bin/cat $(ldd /bin/dash /bin/cat | grep -o '/[^ ]*' | grep -v :); do
            mkdir -p r$(dirname $f); cp -L $f r$f
        done; mkdir -p r/etc r/var/lib; ln -s /var/lib r/state; echo conf >r/etc/conf
        chroot r /bin/dash -euc 'cd /state; echo 1 >db; cat /etc/conf db ../../../etc/conf
            echo 2 >>/state/db; cd /; : >../top; cat state/db' >out; cat out r/var/lib/db; ls r",
    )
    .proved_with(Watch::Ebpf);
}

/// The new root is a tmpfs with trees of the old one mounted in it, as container tools have it.
#[test]
fn a_root_is_exchanged() {
    let script = "mkdir new data; echo old >data/f; mount -t tmpfs none new; cd new
        mkdir old usr bin lib lib64 work; for d in usr bin lib lib64; do mount --rbind /$d $d; done
        mount --bind ../data work; pivot_root . old; cd /
        echo one >>work/f; echo two >work/g; mkdir work/d; echo lost >t; cat work/f t
        cd work/d; echo three >../h; mv ../g g; cat /work/d/g ../../work/h";
    let proved = unshared(script).proved();
    let place: &Place = &proved.place;
    let again = place.path("root").join(place.work().strip_prefix("/").unwrap());
    assert_eq!(std::fs::read_to_string(again.join("data/f")).unwrap(), "old\none\n");
    assert!(!place.path("root/t").exists() && !place.path("root/work/f").exists());
}

/// What is mounted where the recorder sees it, and stays so, hides what the calls left below.
#[test]
fn what_stays_mounted_is_not_compared() {
    let place = Place::watched_by(Watch::Ebpf);
    let script = "mkdir m k; echo 1 >m/f; mount -t tmpfs none m; echo 2 >m/f; echo 3 >k/f";
    let trace = place.trace("t");
    let recorded = run(&mut place.record(&trace, &[], ["/bin/dash", "-euc", script]));
    let on = place.work().join("m");
    let gone = run(std::process::Command::new("umount").arg(&on));
    recorded.ok("record");
    gone.ok("umount");
    let report = same_again(&place, &trace, &place.directory("root"));
    let excluded = report["state"]["excluded_lines"].to_string();
    assert!(excluded.contains("work/m/f: the program left something mounted there"), "{report}");
    let again = place.path("root").join(place.work().strip_prefix("/").unwrap());
    assert_eq!(std::fs::read_to_string(again.join("m/f")).unwrap(), "1\n");
}

/// In a pid namespace, numbers in procfs are others than outside: what an open came to decides.
#[test]
fn a_tree_with_a_procfs_of_its_own() {
    let script = "mkdir -p r/proc r/data d; for d in usr bin lib lib64; do
            mkdir r/$d; mount --rbind /$d r/$d; done
        mount -t proc proc r/proc; mount --bind d r/data
        chroot r /bin/dash -euc 'echo one >/data/1; cd /data; exec 7>two; echo zz >/proc/self/fd/7
            cp /proc/self/cwd/1 3; rm two; echo again >/proc/self/fd/7
            echo more >>/proc/$$/root/data/3; cat 3'; cat d/3; umount r/data; ls r/data";
    Program::new(["/usr/bin/unshare", "-mpf", "/bin/dash", "-euc", script])
        .proved_with(Watch::Ebpf);
}
