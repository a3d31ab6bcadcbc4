//! A directory that is removed, replaced, or put back.

use super::*;

#[test]
fn a_directory_that_is_gone_or_another_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let (data_dir, away) = (parent.path().join("data"), parent.path().join("away"));
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join(LOCK_FILE), "1").unwrap();
    let watch = DirectoryWatch::begin(&data_dir).unwrap();
    assert_eq!(watch.check(), None);
    fs::rename(&data_dir, &away).unwrap();
    assert!(watch.check().unwrap().contains("is gone"));
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join(LOCK_FILE), "1").unwrap();
    assert!(watch.check().unwrap().contains("was replaced"));
    fs::remove_dir_all(&data_dir).unwrap();
    fs::rename(&away, &data_dir).unwrap();
    assert_eq!(watch.check(), None);
}
