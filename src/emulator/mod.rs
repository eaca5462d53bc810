//! AWS and the EKS Pod Identity agent, emulated over HTTP.
