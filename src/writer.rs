//! Provider-writes delivery.
