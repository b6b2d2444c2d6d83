//! The local Cloud Run: ingress, queue, instances, limiter, meter, Admin and Monitoring endpoints. A process of its own;
//! nothing outside it sees more than its endpoints.

mod sample;
mod spec;
