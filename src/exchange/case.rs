//! A case and what may happen to it: pure, so that a year of deadlines is tested in a millisecond.

use serde::{Deserialize, Serialize};

use super::state::{Act, State};
use crate::terms::{CaseNo, UnixMillis};

/// The part of a case that decides what may come next. Nothing personal is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub no: CaseNo,
    pub state: State,
    /// Counts the acts; the compare-and-swap of the record.
    pub seq: u64,
    /// When the collecting point gave the receipt: the five-day clock runs from that day.
    pub received_at: Option<UnixMillis>,
    pub accepted_at: Option<UnixMillis>,
    /// Who received, examined, decided: staff numbers, kept apart by the rule below.
    pub receiver: Option<String>,
    pub examiner: Option<String>,
    pub approver: Option<String>,
    /// The one supplement notice has been given.
    pub notice_given: bool,
    /// The one extension has been given.
    pub extended: bool,
    /// An immediate item under a chief representative's mandate: one person may do all steps.
    pub one_hand: bool,
}

/// An act with who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub act: Act,
    /// Staff number or system id; empty for what the clock does.
    pub by: &'a str,
}

/// What the shell has to do besides saving the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paper {
    /// 收件凭证
    Receipt,
    /// 受理凭证
    AcceptanceVoucher,
    /// 补正通知书
    SupplementNotice,
    /// 不予受理通知书
    NonAcceptance,
    /// 退件单
    ReturnSlip,
    /// 特别程序告知书
    SpecialProcedureNotice,
    /// 移送函
    TransferLetter,
    /// 延期告知书
    ExtensionNotice,
    /// 准予决定书
    Grant,
    /// 不予决定书
    Refusal,
    /// 送达回证
    DeliveryReceipt,
    /// 撤回确认书
    WithdrawalConfirmation,
    /// 终止办理通知书
    TerminationNotice,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    #[error("a case that is {} takes no act '{}'", .state.word(), .act.word())]
    NotFrom { state: State, act: Act },
    #[error("the one supplement notice of this case has been given")]
    SecondNotice,
    #[error("the one extension of this case has been given")]
    SecondExtension,
    #[error("receiver, examiner and approver of one case are different people")]
    SamePerson,
}

impl Case {
    pub fn new(no: CaseNo) -> Self {
        Self {
            no,
            state: State::Draft,
            seq: 0,
            received_at: None,
            accepted_at: None,
            receiver: None,
            examiner: None,
            approver: None,
            notice_given: false,
            extended: false,
            one_hand: false,
        }
    }

    /// Pure: the same case, event and `now` give the same case and paper.
    pub fn step(&self, event: &Event<'_>, now: UnixMillis) -> Result<(Case, Option<Paper>), StepError> {
        let state = event.act.leads(self.state).ok_or(StepError::NotFrom { state: self.state, act: event.act })?;
        let mut next = Case { state, seq: self.seq + 1, ..self.clone() };
        let by = Some(event.by.to_owned());
        let paper = match event.act {
            Act::Receive => {
                next.received_at = Some(now);
                next.receiver = by;
                Some(Paper::Receipt)
            }
            // Handing in what was missing does not start the clock again: the receipt day stays.
            Act::Supplement => Some(Paper::Receipt),
            Act::Accept => {
                next.accepted_at = Some(now);
                Some(Paper::AcceptanceVoucher)
            }
            // Silence means accepted as of the receipt day (Licensing Law art. 32(4)).
            Act::AcceptBySilence => {
                next.accepted_at = self.received_at;
                Some(Paper::AcceptanceVoucher)
            }
            Act::RequestSupplement if self.notice_given => return Err(StepError::SecondNotice),
            Act::RequestSupplement => {
                next.notice_given = true;
                Some(Paper::SupplementNotice)
            }
            Act::BeginReview => {
                self.other_than(&[&self.receiver], event.by)?;
                next.examiner = by;
                None
            }
            Act::Grant | Act::Refuse => {
                self.other_than(&[&self.receiver, &self.examiner], event.by)?;
                next.approver = by;
                Some(if event.act == Act::Grant { Paper::Grant } else { Paper::Refusal })
            }
            Act::Extend if self.extended => return Err(StepError::SecondExtension),
            Act::Extend => {
                next.extended = true;
                Some(Paper::ExtensionNotice)
            }
            Act::NotAccept => Some(Paper::NonAcceptance),
            Act::Return => Some(Paper::ReturnSlip),
            Act::Suspend => Some(Paper::SpecialProcedureNotice),
            Act::Escalate => Some(Paper::TransferLetter),
            Act::Withdraw => Some(Paper::WithdrawalConfirmation),
            Act::Terminate => Some(Paper::TerminationNotice),
            Act::ConfirmDelivery => Some(Paper::DeliveryReceipt),
            Act::File | Act::Resume | Act::ComeBack | Act::Close | Act::HandOut | Act::Archive => None,
        };
        Ok((next, paper))
    }

    /// Duties are separate (受审分离), unless one hand may do it all.
    fn other_than(&self, earlier: &[&Option<String>], by: &str) -> Result<(), StepError> {
        let same = earlier.iter().any(|who| who.as_deref() == Some(by));
        if same && !self.one_hand { Err(StepError::SamePerson) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(acts: &[(Act, &str)]) -> Result<Case, StepError> {
        let case = Case::new("4190010000002026021300000017S".parse().unwrap());
        acts.iter().enumerate().try_fold(case, |case, (n, (act, by))| {
            case.step(&Event { act: *act, by }, UnixMillis(n as i64)).map(|(case, _)| case)
        })
    }

    #[test]
    fn the_common_way_and_the_forbidden_ones() {
        use Act::*;
        let common = [
            (File, "c"),
            (Receive, "w1"),
            (Accept, "o1"),
            (BeginReview, "o2"),
            (Grant, "o3"),
            (Close, "o3"),
            (HandOut, "w1"),
            (ConfirmDelivery, "w1"),
        ];
        assert_eq!(walk(&common).unwrap().state, State::Delivered);
        for (acts, want) in [
            // collecting never implies accepting: a filed case cannot be accepted before it is received
            (vec![(File, "c"), (Accept, "o1")], Err(StepError::NotFrom { state: State::Filed, act: Accept })),
            (vec![(File, "c"), (Receive, "w1"), (Accept, "w1"), (BeginReview, "w1")], Err(StepError::SamePerson)),
            (
                vec![(File, "c"), (Receive, "w1"), (Accept, "o1"), (BeginReview, "o2"), (Grant, "o2")],
                Err(StepError::SamePerson),
            ),
            (
                vec![
                    (File, "c"),
                    (Receive, "w"),
                    (RequestSupplement, "o"),
                    (Supplement, "c"),
                    (RequestSupplement, "o"),
                ],
                Err(StepError::SecondNotice),
            ),
            (
                vec![(File, "c"), (Receive, "w"), (Accept, "o"), (Return, "o")],
                Err(StepError::NotFrom { state: State::Accepted, act: Return }),
            ),
            (
                vec![(File, "c"), (Receive, "w"), (Accept, "o"), (BeginReview, "e"), (Refuse, "a"), (Withdraw, "c")],
                Err(StepError::NotFrom { state: State::DecidedRefused, act: Withdraw }),
            ),
        ] {
            assert_eq!(walk(&acts).map(|c| c.state), want, "{acts:?}");
        }
    }

    #[test]
    fn silence_accepts_as_of_the_receipt_day() {
        let case = walk(&[(Act::File, "c"), (Act::Receive, "w"), (Act::AcceptBySilence, "")]).unwrap();
        assert_eq!(case.accepted_at, Some(UnixMillis(1)));
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rules_hold(acts in prop::collection::vec((0..Act::ALL.len(), "[a-c]"), 0..40)) {
            let mut case = Case::new("4190010000002026021300000017S".parse().unwrap());
            for (n, (act, by)) in acts.iter().enumerate() {
                let before = case.clone();
                if let Ok((next, _)) = case.step(&Event { act: Act::ALL[*act], by }, UnixMillis(n as i64)) {
                    prop_assert_eq!(next.seq, before.seq + 1);
                    prop_assert!(!before.state.is_terminal() || next.state == State::Archived);
                    if let Some(approver) = &next.approver {
                        prop_assert!(next.receiver.as_ref() != Some(approver) && next.examiner.as_ref() != Some(approver));
                    }
                    case = next;
                }
            }
        }
    }
}
