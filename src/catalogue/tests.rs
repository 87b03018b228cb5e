//! Tables a clerk could check, through the public door of the room.
