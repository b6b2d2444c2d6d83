//! Decisions only: (policy, observation, now) → desired instances. No clock, no I/O, no randomness, no threads; shared by
//! the platform and, later, the simulator.
