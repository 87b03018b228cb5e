//! Whose request it is, by certificate, before anything is asked of it: each counts, whatever its path, method or form.

use super::serve::Connection;
use crate::gateway::Rooms;
use crate::gateway::entrusted;
use crate::gateway::ledger::Trace;
use crate::gateway::who::Terminal;
use crate::terms::Refusal;

/// Recognises the terminal, as `seen` says from then on, and takes one request of its share.
///
/// # Errors
/// What [`Terminal::recognise`] says; `TB-PAR-0304` for an outlet, `TB-GW-0107` for others that ask too fast.
pub fn terminal(rooms: &Rooms, connection: &Connection, trace: &Trace, seen: &mut Terminal) -> Result<(), Refusal> {
    *seen = Terminal::recognise(rooms, &connection.client, trace.at)?;
    match seen {
        Terminal::Outlet { contract, terminal } => entrusted::counted(rooms, contract, terminal),
        other => rooms.paces.load().terminal(other),
    }
}
