#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::audit::checkpoint::Checkpoint;
use tongban::audit::note::Note;

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = Note::parse(data) {
        let _ = Checkpoint::parse(note.text());
        let _ = note.verify(&[]);
    }
});
