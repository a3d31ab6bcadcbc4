//! Tests of the host with real modules: the committed samples and the hostile ones.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod agreement;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod share;
