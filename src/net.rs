//! The kernel: interface, alarm (timerfd), lock, raw and packet sockets, the address.
