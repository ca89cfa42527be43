//! Is the co-located load balancer serving? Schedule, time-outs, the held connection.
