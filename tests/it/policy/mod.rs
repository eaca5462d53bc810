//! `latchkey policy` against judges that nobody here wrote, and against the emulator.

mod agreement;
mod classes;
mod decrypt;
mod examples;
mod forms;
pub(crate) mod ministack;
mod random;
mod seen;
mod trust;
