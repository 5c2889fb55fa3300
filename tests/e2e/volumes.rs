//! Volumes and shared folders in backups: copied, tried, put back, and whole after every kill.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Site, docker, wait_for};

/// As many as a site of some years has.
const FILES: usize = 20_000;

/// What lies below a folder: type, mode, owner and content of each path, without estiba's own folders at its top.
fn tree(folder: &Path) -> BTreeSet<String> {
    let script = "cd \"$1\" && find . -mindepth 1 \\( -path './.estiba-*' -prune \\) -o -printf '%y %m %U:%G %s %l %p\\n' && \
        find . \\( -path './.estiba-*' -prune \\) -o -type f -print0 | xargs -0 -r sha256sum";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(folder).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn media(site: &Site) -> PathBuf {
    site.root.join("shared/media")
}

fn fill(folder: &Path, count: usize) {
    let script = "cd \"$1\" && seq \"$2\" | awk 'BEGIN { last = -1 } { folder = int($1 / 200); if (folder != last) { last = folder; system(\"mkdir -p f\" folder) }
        print \"content of \" $1 >(\"f\" folder \"/\" $1 \".txt\"); close(\"f\" folder \"/\" $1 \".txt\") }' && \
        mkdir -p 'a folder' && echo odd >'a folder/-with a \"name\"' && ln -s ../f1/250.txt 'a folder/link' && chown -R 1000:1000 . && chmod 0640 f1/250.txt";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(folder).arg(count.to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The newest backup as `list` tells it.
fn newest(site: &Site) -> serde_json::Value {
    let list = site.estiba(&["backup", "list", "--json"]);
    serde_json::from_str(list.stdout.trim().lines().last().unwrap()).unwrap()
}

fn ready(name: &str, count: usize) -> Site {
    let site = Site::new(name, "[rollout]\nobserve = \"0s\"\n[backup]\nvolumes = [\"media\", \"cache-data\"]\n");
    site.deployed();
    fill(&media(&site), count);
    site
}

#[test]
fn volumes_are_copied_beside_the_database_and_put_back_by_the_file_or_whole() {
    let site = ready("volumes", FILES);
    let before = tree(&media(&site));
    site.estiba(&["backup", "create"]).says(0, &["volume media: 20002 files"]);
    let backup = newest(&site);
    let id = backup["id"].as_str().unwrap();
    assert_eq!(backup["volumes"][0]["files"], FILES + 2, "{backup}");
    let archive = site.root.join(format!("backups/{id}.volume-media.tar"));
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    site.estiba(&["backup", "verify", id]).says(0, &["volume media: 20002 files, unpacked and counted"]);

    // What has not changed takes no room a second time.
    site.estiba(&["backup", "create"]).says(0, &["as in the backup before"]);
    let second = newest(&site)["id"].as_str().unwrap().to_owned();
    let inode = |id: &str| site.root.join(format!("backups/{id}.volume-media.tar")).metadata().unwrap().ino();
    assert_eq!(inode(id), inode(&second));

    // One file comes back, and nothing else changes.
    std::fs::remove_file(media(&site).join("f1/250.txt")).unwrap();
    std::fs::write(media(&site).join("f2/400.txt"), "newer\n").unwrap();
    std::fs::write(media(&site).join("new.txt"), "newer\n").unwrap();
    let file = ["backup", "restore", id, "--volume", "media", "--yes", "--file"];
    site.estiba(&[&file[..], &["../f1/250.txt"]].concat()).says(2, &["is not the path of a file in a volume"]);
    site.estiba(&[&file[..], &["f1/none.txt"]].concat()).says(1, &["Not found in archive"]);
    site.estiba(&[&file[..], &["f1/250.txt"]].concat()).says(0, &["media holds f1/250.txt of backup"]);
    let restored = media(&site).join("f1/250.txt");
    assert_eq!(std::fs::read_to_string(&restored).unwrap(), "content of 250\n");
    assert_eq!((restored.metadata().unwrap().uid(), restored.metadata().unwrap().mode() & 0o777), (1000, 0o640));
    assert_eq!(std::fs::read_to_string(media(&site).join("f2/400.txt")).unwrap(), "newer\n");

    // The whole comes back, and what was there is kept where no proxy can read it.
    site.estiba(&["backup", "restore", id, "--volume", "other", "--yes"])
        .says(1, &["holds no volume other: it holds media cache-data"]);
    site.estiba(&["backup", "restore", id, "--all-volumes", "--yes"]).says(0, &["media holds what backup"]);
    assert!(tree(&media(&site)) == before, "the folder is not what it was");
    let kept = std::fs::read_dir(media(&site)).unwrap().map(|entry| entry.unwrap().path());
    let mut kept = kept;
    let kept = kept.find(|path| path.join("new.txt").exists()).expect("what was there is kept");
    assert_eq!(kept.metadata().unwrap().mode() & 0o777, 0o700);
    // What was kept goes into no backup.
    site.estiba(&["backup", "create"]).says(0, &["volume media: 20002 files"]);

    // A damaged archive is told, and touches nothing.
    let text = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &text[..text.len() / 2]).unwrap();
    site.estiba(&["backup", "verify", id]).says(1, &["the archive of media in backup", "is damaged"]);
    site.estiba(&["backup", "restore", id, "--all-volumes", "--yes"]).says(1, &["is damaged"]);
    assert!(tree(&media(&site)) == before);
}

/// Kills the driver and who watches over it, in that step of the run that these arguments begin.
fn killed_in(site: &Site, step: &str, arguments: &[&str], delay: Duration) {
    let runs = || std::fs::read_dir(site.root.join("runs")).map_or(0, Iterator::count);
    let newest = || {
        let mut runs: Vec<_> = std::fs::read_dir(site.root.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort_by_key(|path| path.metadata().unwrap().ctime());
        runs.pop().unwrap()
    };
    let before = runs();
    let client = site.spawn(arguments);
    wait_for(&format!("step {step}"), Duration::from_secs(60), || {
        runs() > before
            && std::fs::read_to_string(newest().join("journal")).is_ok_and(|text| text.contains(&format!("\tbegan\t{step}\t")))
    });
    // Somewhere within the step: where, is chance.
    std::thread::sleep(delay);
    let pid = |name: &str| std::fs::read_to_string(newest().join(name)).unwrap_or_default().trim().to_owned();
    let _ = Command::new("kill").args(["-KILL", &pid("supervisor.pid"), &pid("driver.pid")]).output().unwrap();
    let _ = Site::ended(client);
    let recovered = site.estiba(&["recover"]);
    assert!([0, 1, 3].contains(&recovered.code), "{recovered:?}");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn wherever_it_is_killed_a_volume_is_whole_and_no_half_of_a_backup_is_left() {
    let site = ready("volumes-killed", FILES / 4);
    let old = tree(&media(&site));
    site.estiba(&["backup", "create"]).says(0, &[]);
    let id = newest(&site)["id"].as_str().unwrap().to_owned();
    std::fs::write(media(&site).join("new.txt"), "newer\n").unwrap();
    std::fs::remove_dir_all(media(&site).join("f3")).unwrap();
    let new = tree(&media(&site));

    for tenths in [3, 12] {
        killed_in(&site, "backup", &["backup", "create"], Duration::from_millis(tenths * 100));
        killed_in(&site, "verify", &["backup", "verify", &id], Duration::from_millis(tenths * 100));
        let files = std::fs::read_dir(site.root.join("backups")).unwrap().map(|entry| entry.unwrap().file_name());
        for name in files.map(|name| name.into_string().unwrap()) {
            let of_whole = name.split('.').next().is_some_and(|id| site.root.join(format!("backups/{id}.dump")).exists());
            assert!(of_whole, "{name} was left");
        }
        assert!(tree(&media(&site)) == new, "neither a backup nor a look at one changes anything");
    }
    for tenths in [1, 6, 10, 14, 18, 24] {
        killed_in(&site, "volumes", &["backup", "restore", &id, "--all-volumes", "--yes"], Duration::from_millis(tenths * 100));
        let now = tree(&media(&site));
        assert!(now == new || now == old, "after {tenths} tenths of a second the folder is neither what it was nor the backup's");
        let work = std::fs::read_dir(media(&site))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".estiba-restore"));
        assert!(!work, "the work of a restore was left");
        let left =
            docker(&["ps", "-q", "--filter", "label=estiba.run", "--filter", &format!("volume={}", media(&site).display())]);
        assert_eq!(left.trim(), "", "a container of the run was left");
        // For the next round it is what it was before.
        if now == old {
            std::fs::write(media(&site).join("new.txt"), "newer\n").unwrap();
            std::fs::remove_dir_all(media(&site).join("f3")).unwrap();
            Command::new("chown").args(["--reference", "f2", "."]).current_dir(media(&site)).status().unwrap();
        }
    }
}
