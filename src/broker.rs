//! `latchkey notices`: what AWS says has changed, from queues into the object that every
//! node watches.

mod event;
mod ring;
