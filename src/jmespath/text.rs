//! A growing text. Its buffers are wiped when it is dropped or grows.

use zeroize::Zeroizing;

use super::fuel::{Fuel, OutOfFuel};

/// Grows by doubling, and pays for it with fuel.
#[derive(Default)]
pub(super) struct Text(Zeroizing<String>);

impl Text {
    pub(super) fn push(&mut self, more: &str, fuel: &mut Fuel<'_>) -> Result<(), OutOfFuel> {
        let needed = self.0.len() + more.len();
        if needed > self.0.capacity() {
            let capacity = needed.max(2 * self.0.capacity());
            fuel.hold(capacity)?;
            let mut larger = Zeroizing::new(String::with_capacity(capacity));
            larger.push_str(&self.0);
            self.0 = larger;
        }
        fuel.read(more.len())?;
        self.0.push_str(more);
        Ok(())
    }

    pub(super) fn finish(self) -> Zeroizing<String> {
        self.0
    }
}
