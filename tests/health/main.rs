//! The checker against real sockets and a real load balancer.

mod haproxy;
mod http;
mod schedule;
mod support;
mod tcp;
