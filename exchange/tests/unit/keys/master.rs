//! The derivation of secrets, and the texts of a master key.

use super::*;

fn master() -> MasterKey {
    MasterKey([7; 32])
}

/// Secrets are valid for ever: the derivation may not change.
#[test]
fn a_secret_depends_on_key_and_version_alone() {
    let secret = master().secret(KeyId(4711), 1);
    assert_eq!(secret, "1r5DjIWiCFx_vLagElg-4AM_vamxMbzQHjiivPgiDpE");
    assert!(master().is_secret(KeyId(4711), 1, &secret));
    for (key, version) in [(4711, 2), (471, 1), (1, 4711)] {
        assert!(!master().is_secret(KeyId(key), version, &secret));
    }
    assert!(!master().is_secret(KeyId(4711), 1, ""));
    assert!(!MasterKey([8; 32]).is_secret(KeyId(4711), 1, &secret));
}

#[test]
fn a_master_key_reads_hexadecimal_or_base64_and_never_prints() {
    for text in ["07".repeat(32), STANDARD.encode([7; 32]), URL_SAFE_NO_PAD.encode([7; 32])] {
        let key: MasterKey = text.parse().unwrap();
        assert_eq!(key.0, master().0);
        assert_eq!(format!("{key:?}"), "MasterKey(*)");
    }
    for text in ["", "07", &"07".repeat(33), &"zz".repeat(32), &STANDARD.encode([7; 31])] {
        assert!(text.parse::<MasterKey>().is_err(), "{text}");
    }
}

/// Opens a key file with these bytes. Returns the error.
fn refusal(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    file.write_all(bytes).unwrap();
    MasterKey::open(&path).unwrap_err().to_string()
}

#[test]
fn a_file_that_was_never_drawn_is_no_key() {
    assert!(refusal(&[]).contains("has 0 bytes"));
    assert!(refusal(&[1; 31]).contains("has 31 bytes"));
    for byte in [0, 255, b' '] {
        assert!(refusal(&[byte; 32]).contains("32 equal bytes"), "{byte}");
    }
}

#[test]
fn a_check_value_tells_keys_apart() {
    assert_eq!(master().check(), master().check());
    assert_ne!(master().check(), MasterKey([8; 32]).check());
    assert_ne!(master().check(), 0);
}
