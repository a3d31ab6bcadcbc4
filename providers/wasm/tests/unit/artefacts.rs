//! The directory of artefacts: what is kept, and what is removed.

use super::*;

fn opened(directory: &Path, engine: u64) -> Artefacts {
    Artefacts::open(Some(directory), engine).unwrap()
}

#[test]
fn an_artefact_is_for_one_engine() {
    let directory = tempfile::tempdir().unwrap();
    let artefacts = opened(directory.path(), 1);
    artefacts.write(&[7; 32], b"code").unwrap();
    assert_eq!(artefacts.read(&[7; 32]).as_deref(), Some(&b"code"[..]));
    assert_eq!(artefacts.read(&[8; 32]), None);
    assert_eq!(opened(directory.path(), 2).read(&[7; 32]), None);
    assert_eq!(Artefacts::default().read(&[7; 32]), None);
}

#[test]
fn the_directory_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("modules");
    opened(&path, 1).write(&[7; 32], b"code").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert!(fs::read_dir(&path).unwrap().all(|file| mode(&file.unwrap().path()) == 0o600));
}

#[test]
fn files_not_used_for_longest_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let artefacts = opened(directory.path(), 1);
    for name in 1..=3_u8 {
        artefacts.write(&[name; 32], &[0; 100]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    artefacts.read(&[1; 32]).unwrap();
    let other = directory.path().join("photograph.raw");
    fs::write(&other, [0; 1_000]).unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    artefacts.remove_beyond(300).unwrap();
    assert!(other.exists(), "it is not an artefact");
    let kept: Vec<bool> = (1..=3).map(|name| artefacts.read(&[name; 32]).is_some()).collect();
    assert_eq!(kept, [true, false, true]);
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = make_private(directory.path()).unwrap_err();
    assert!(refused.to_string().contains("is not this user's alone"), "{refused}");
}
