//! What an outlet may do. Accepting, refusing and deciding are not in the list: no contract can grant them.

use crate::terms::words::words;

words! {
    /// An act of a partner outlet.
    pub enum Act {
        Guide = "guide", "咨询指引", "guide and advise";
        FillIn = "fill_in", "协助填表", "help to fill in";
        CheckIdentity = "check_identity", "核验身份", "check identity by card reader and face";
        Scan = "scan", "扫描材料", "scan papers";
        /// Collecting (收件) is not accepting (受理).
        Receive = "receive", "代收材料", "receive for the owner";
        ReadOwn = "read_own", "查询本网点代收的办件", "read cases received here";
        PrintReceipt = "print_receipt", "打印收件凭证", "print the receipt";
        PrintResult = "print_result", "打印办理结果", "print a result";
        HandOut = "hand_out", "代发邮件和结果", "hand out mail and results";
    }
}

impl Act {
    /// Whether the act takes a unit of the daily quotas.
    pub fn is_counted(self) -> bool {
        self == Self::Receive
    }

    /// Whether the act is about one item.
    pub fn needs_item(self) -> bool {
        !matches!(self, Self::Guide | Self::CheckIdentity | Self::ReadOwn | Self::HandOut)
    }
}
