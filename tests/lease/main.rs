//! The lease engine from outside: the selector grammar against vectors, the lease rules as written
//! scenarios, and a simulation that tries what nobody thought of. All of it on a fake clock.

mod model;
mod random;
mod rules;
mod scenarios;
mod script;
mod selectors;
mod simulation;
mod world;
