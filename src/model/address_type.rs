//! Which address of the Pod Identity agent a class chooses.

/// `preferredAddressType`: which address of the Pod Identity agent to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// IPv4, then IPv6 if IPv4 does not answer.
    #[default]
    Auto,
    Ipv4,
    Ipv6,
}
