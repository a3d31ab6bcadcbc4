pub(crate) mod durations;
pub(crate) mod estimate;
