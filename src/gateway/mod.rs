//! Floor 6: one request, five questions, in an order the types enforce.

pub mod intake;
