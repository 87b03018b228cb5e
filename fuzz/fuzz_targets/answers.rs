#![no_main]
//! Answers of responders as they were kept over a restart.

use libfuzzer_sys::fuzz_target;
use tongban::formats::der::only;
use tongban::terms::UnixMillis;
use tongban::trust::answers::Answers;
use tongban::trust::certificate::Certificate;

/// The first certificate met, for an issuer: one that signs itself answers for itself.
fn issuer(data: &[u8]) -> Option<Certificate> {
    let mut pair = only(data).ok()?.inside().sequence().ok()?;
    Certificate::parse(pair.element().ok()?.full).ok()
}

fuzz_target!(|data: &[u8]| {
    let (issuers, now): (Vec<_>, _) = (issuer(data).into_iter().collect(), UnixMillis(1_790_000_000_000));
    let mut answers = Answers::default();
    if let Ok(taken) = answers.restore(data, &issuers, now) {
        let kept = answers.to_der();
        assert!(answers.all().len() <= taken);
        let again = Answers::default().restore(&kept, &issuers, now);
        assert_eq!(again, Ok(answers.all().len()), "what was taken is kept, and taken again");
    }
});
