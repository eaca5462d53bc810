//! The emulator as AWS's own SDK sees it, and over plain TCP where no SDK goes.
