//! Names of functions as Lambda's clients write them.

use super::*;

fn read(text: &str, qualifier: Option<&str>) -> Result<(String, Option<Qualifier>), String> {
    let (name, qualifier) = function(text, qualifier).map_err(|error| error.message)?;
    Ok((name.to_string(), qualifier))
}

#[test]
fn every_form_of_a_name_is_read() {
    let alias = || Some(Qualifier::Alias("live".to_owned()));
    let of = |revision| Ok(("thumb".to_owned(), revision));
    assert_eq!(read("thumb", None), of(None));
    assert_eq!(read("thumb", Some("$LATEST")), of(None));
    assert_eq!(read("thumb:live", None), of(alias()));
    assert_eq!(read("thumb", Some("live")), of(alias()));
    assert_eq!(read("thumb:live", Some("live")), of(alias()));
    assert_eq!(read("thumb:3", None), of(Some(Qualifier::Number(3))));
    assert_eq!(read("123456789012:function:thumb", None), of(None));
    assert_eq!(read("arn:aws:lambda:us-east-1:123456789012:function:thumb:live", None), of(alias()));
}

#[test]
fn a_text_that_is_no_name_is_refused() {
    for text in ["", "a b", "arn:aws:s3:::bucket:function:x", "12:function:x", "thumb:", "x:y:z"] {
        assert!(read(text, None).is_err(), "{text}");
    }
    assert!(read("thumb:1", Some("2")).is_err());
}
