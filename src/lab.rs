//! Hosts as network namespaces, a metadata service with Rancher's wire contract, a small load balancer, an open-loop client.
pub mod metadata;
