//! One recording on several file systems: ext4, xfs and btrfs in images on loop devices, and tmpfs.
//! On each every call comes out as recorded, and the same tree is left.

use crate::harness::place::{Place, Watch, number};
use crate::harness::run::run;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted file system, unmounted when the test ends.
pub struct Mounted(pub PathBuf);

impl Mounted {
    /// Makes a file system in an image in `place`, and mounts it.
    pub fn image(place: &Place, name: &str) -> Self {
        let (image, on) = (place.path(&format!("{name}.image")), place.directory(name));
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        run(Command::new(format!("/sbin/mkfs.{name}")).arg("-q").arg(&image)).ok("mkfs");
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&on))
            .ok("mount (this test wants root, loop devices and the kernel's ext4, xfs and btrfs)");
        Self(on)
    }
    fn tmpfs(place: &Place) -> Self {
        let on = place.directory("tmpfs");
        run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&on)).ok("mount");
        Self(on)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _best =
            Command::new("umount").arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
    }
}

const GIT: &str =
    "export GIT_CONFIG_NOSYSTEM=1; git init -q -b main r; cd r; git config user.name \
    A; git config user.email a@example.invalid
    i=0; while [ $i -lt 60 ]; do mkdir -p d$((i % 5)); echo \"file $i\" > d$((i % 5))/f$i; i=$((i \
    + 1)); done
    git add .; git commit -q -m one; git mv d2/f2 moved; git commit -q -m two; git checkout -q -b \
    side HEAD~1; git gc -q; git log --stat | wc -l";
const SQL: &str = "CREATE TABLE t(a INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (SELECT 1 \
    UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO t SELECT i, hex(randomblob(40)) FROM n; DELETE FROM t WHERE a % 3 = 0; VACUUM; \
    PRAGMA integrity_check;";

#[test]
fn all_come_out_the_same() {
    let place = Place::watched_by(Watch::Ebpf);
    let names = ["ext4", "xfs", "btrfs"];
    let mut all: Vec<Mounted> =
        names.into_iter().map(|name| Mounted::image(&place, name)).collect();
    all.push(Mounted::tmpfs(&place));
    let fio = [
        "--name=f",
        "--rw=randrw",
        "--bs=4k",
        "--size=4m",
        "--ioengine=psync",
        "--fsync=16",
        "--numjobs=2",
        "--thread",
        "--output=fio.out",
    ];
    let programs: [(&str, Vec<&str>); 3] = [
        ("sqlite3", vec!["/usr/bin/sqlite3", "t.db", SQL]),
        ("git", vec!["/bin/dash", "-euc", GIT]),
        ("fio", [&["/usr/bin/fio"][..], &fio].concat()),
    ];
    for (name, argv) in programs {
        let trace = place.trace(name);
        run(&mut place.record(&trace, &[], argv)).ok("record");
        let target =
            |on: &Path| format!("--target={}={}", on.file_name().unwrap().display(), on.display());
        let options = ["bench", "--json", "--repeat", "1", "--verify", "data"]
            .map(str::to_owned)
            .into_iter()
            .chain(all.iter().map(|m| target(&m.0)));
        let bench: Value =
            serde_json::from_str(&run(place.reanimator(options).arg(&trace)).ok("bench").stdout)
                .unwrap();
        let targets = bench["targets"].as_array().unwrap();
        assert_eq!(targets.len(), all.len());
        for target in targets {
            let report = &target["runs"][0];
            assert_eq!(
                (number(report, "divergences"), number(report, "state.different")),
                (0, 0),
                "{name} on {}: {report}",
                target["name"]
            );
            assert!(
                number(report, "performed") > 100 && number(report, "state.compared") > 1,
                "{name}: {report}"
            );
        }
    }
}
