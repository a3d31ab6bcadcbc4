//! The names by which Lambda's clients ask for a function.

use merit_proto::v1;
use merit_terms::Name;

use crate::doors::target;
use crate::error::ApiError;

/// The version that means the newest code; here it is what `live` runs, as without a qualifier.
const LATEST: &str = "$LATEST";

/// A function by name, `name:qualifier`, partial ARN or ARN; a `Qualifier` beside it must not say otherwise.
///
/// Of an ARN only the name and the qualifier count: the account is that of the credentials.
pub(super) fn function(text: &str, qualifier: Option<&str>) -> Result<(Name, Option<v1::Qualifier>), ApiError> {
    let within = match text.split_once(":function:") {
        Some((arn, rest)) if is_arn(arn) => rest,
        Some(_) => return Err(ApiError::malformed(format!("`{text}` is not the name or the ARN of a function"))),
        None => text,
    };
    let (name, in_name) = match within.split_once(':') {
        None => (within, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let qualifier = match (in_name, qualifier) {
        (Some(one), Some(other)) if one != other => {
            return Err(ApiError::malformed(format!("the name asks for `{one}` and Qualifier for `{other}`")));
        }
        (one, other) => one.or(other).filter(|qualifier| *qualifier != LATEST),
    };
    match qualifier {
        None => target(name),
        Some(qualifier) => target(&format!("{name}:{qualifier}")),
    }
}

/// `ACCOUNT` or `arn:PARTITION:lambda:REGION:ACCOUNT`.
fn is_arn(text: &str) -> bool {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split(':').collect::<Vec<_>>()[..] {
        [account] => is_account(account),
        ["arn", partition, "lambda", _region, account] => partition.starts_with("aws") && is_account(account),
        _ => false,
    }
}

/// The ARN that is told of a function: Lambda's clients expect one.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

#[cfg(test)]
mod tests {
    use merit_proto::v1::qualifier::Revision;

    use super::*;

    fn read(text: &str, qualifier: Option<&str>) -> Result<(String, Option<Revision>), String> {
        let (name, qualifier) = function(text, qualifier).map_err(|error| error.message)?;
        Ok((name.to_string(), qualifier.and_then(|qualifier| qualifier.revision)))
    }

    #[test]
    fn every_form_of_a_name_is_read() {
        let alias = || Some(Revision::Alias("live".to_owned()));
        let of = |revision| Ok(("thumb".to_owned(), revision));
        assert_eq!(read("thumb", None), of(None));
        assert_eq!(read("thumb", Some("$LATEST")), of(None));
        assert_eq!(read("thumb:live", None), of(alias()));
        assert_eq!(read("thumb", Some("live")), of(alias()));
        assert_eq!(read("thumb:live", Some("live")), of(alias()));
        assert_eq!(read("thumb:3", None), of(Some(Revision::Number(3))));
        assert_eq!(read("123456789012:function:thumb", None), of(None));
        assert_eq!(read("arn:aws:lambda:us-east-1:123456789012:function:thumb:live", None), of(alias()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a b", "arn:aws:s3:::bucket:function:x", "12:function:x", "thumb:", "x:y:z"] {
            assert!(read(text, None).is_err(), "{text}");
        }
        assert!(read("thumb:1", Some("2")).is_err());
    }
}
