//! Rancher's metadata service: who belongs, and which ports the load balancer publishes.
