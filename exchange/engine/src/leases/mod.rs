mod grant;
mod holds;
pub(crate) mod open;
mod settle;
