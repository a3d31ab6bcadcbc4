//! Names by which Lambda's clients ask for a function.

use merit_terms::Name;

use crate::doors::names::target;
use crate::error::ApiError;
use crate::exchange::leases::lease::Qualifier;

/// Version that means the newest code; here the revision of `live`, as without a qualifier.
const LATEST: &str = "$LATEST";

/// Reads a function by name, `name:qualifier`, partial ARN or ARN. Refuses a `Qualifier` beside it that differs.
///
/// Only the name and the qualifier of an ARN count: the account is that of the credentials.
pub(super) fn function(text: &str, qualifier: Option<&str>) -> Result<(Name, Option<Qualifier>), ApiError> {
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

/// Returns true for `ACCOUNT` or `arn:PARTITION:lambda:REGION:ACCOUNT`.
fn is_arn(text: &str) -> bool {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split(':').collect::<Vec<_>>()[..] {
        [account] => is_account(account),
        ["arn", partition, "lambda", _region, account] => partition.starts_with("aws") && is_account(account),
        _ => false,
    }
}

/// Returns the ARN of a function, which Lambda's clients expect.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/lambda/names.rs"]
mod tests;
