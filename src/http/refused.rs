//! What becomes of a refusal, of the API or of a page: a line in the log like an answer has, but for strangers and callers who
//! go on too fast, whose lines are bounded.

use std::net::IpAddr;

use crate::gateway::Rooms;
use crate::gateway::ledger::{self, Trace};
use crate::gateway::who::{Person, Terminal};
use crate::terms::Refusal;

/// Puts a refusal on record: what is to be told, and the index of its line where it has one. `worded`: as the protocol of the
/// route has it.
pub async fn keep(
    rooms: &Rooms,
    trace: &Trace,
    from: IpAddr,
    (terminal, person): (&Terminal, Option<&Person>),
    refusal: Refusal,
    worded: impl Fn(Refusal) -> Refusal,
) -> (Refusal, Option<u64>) {
    if matches!((terminal, person), (Terminal::Unknown, None))
        && let Err(flood) = rooms.strangers.take(from)
    {
        return (worded(flood), None);
    }
    let refusal = worded(refusal);
    let caller = match (terminal, person) {
        (Terminal::Unknown, Some(person)) => person.subject.clone(),
        (terminal, _) => terminal.word(rooms),
    };
    if !rooms.waiting.is_told(trace, &caller, &refusal) {
        return (refusal, None);
    }
    match ledger::deny(rooms, trace, person, terminal, &refusal).await {
        Ok(index) => (refusal, Some(index)),
        // A log that cannot take a line stops the house: nothing leaves without one.
        Err(error) => (worded(Refusal::from(error)), None),
    }
}
