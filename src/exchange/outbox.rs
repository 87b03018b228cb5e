//! The outbox: what is on its way to peers and offices, sent again and again until a receipt comes back.

use sqlx::Row;

use super::state::Act;
use crate::store::{StoreError, Tx};
use crate::terms::{CaseNo, UnixMillis};

/// Something to be sent, again and again, until a receipt comes back.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: String,
    pub no: CaseNo,
    /// `peer` or `office`.
    pub way: String,
    pub target: String,
    /// The container among the case's files.
    pub path: String,
    pub attempts: i64,
}

pub async fn post(tx: &mut Tx, out: &Outgoing, now: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO outbox (id, no, way, target, path, attempts, next_at) VALUES ($1, $2, $3, $4, $5, 0, $6)")
        .bind(&out.id)
        .bind(out.no.to_string())
        .bind(&out.way)
        .bind(&out.target)
        .bind(&out.path)
        .bind(now.0)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// Takes up to `limit` lines that are due and moves their next attempt `hold_ms` ahead, so that no other replica takes
/// them meanwhile; a sender that dies lets them come due again. Of one case and target only the oldest line goes out, and
/// none to the targets in `busy`.
pub async fn take_due(
    tx: &mut Tx,
    now: UnixMillis,
    hold_ms: i64,
    limit: i64,
    busy: &[&str],
) -> Result<Vec<Outgoing>, StoreError> {
    let places: Vec<String> = (0..busy.len()).map(|n| format!("${}", n + 3)).collect();
    let others = if busy.is_empty() { String::new() } else { format!(" AND target NOT IN ({})", places.join(", ")) };
    let lock = if tx.dialect() == crate::store::Dialect::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "SELECT id, no, way, target, path, attempts FROM outbox o WHERE done_at IS NULL AND next_at <= $1
           {others} AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.no = o.no AND e.target = o.target AND e.done_at IS NULL AND e.path < o.path)
         ORDER BY next_at LIMIT $2{lock}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now.0).bind(limit);
    let rows = busy.iter().fold(query, |query, target| query.bind(*target)).fetch_all(tx.run()).await?;
    let mut due = Vec::with_capacity(rows.len());
    for row in &rows {
        let no: String = row.try_get("no")?;
        let out = Outgoing {
            id: row.try_get("id")?,
            no: no.parse().map_err(|e| StoreError::unreadable("case number", e))?,
            way: row.try_get("way")?,
            target: row.try_get("target")?,
            path: row.try_get("path")?,
            attempts: row.try_get("attempts")?,
        };
        sqlx::query("UPDATE outbox SET next_at = $1, attempts = attempts + 1 WHERE id = $2")
            .bind(now.0 + hold_ms)
            .bind(&out.id)
            .execute(tx.run())
            .await?;
        due.push(out);
    }
    Ok(due)
}

/// Lets lines that an earlier life of this process took come due at once. Only where no other replica shares the store.
pub async fn release_taken(tx: &mut Tx, now: UnixMillis) -> Result<u64, StoreError> {
    let done = sqlx::query("UPDATE outbox SET next_at = $1 WHERE done_at IS NULL AND next_at > $1")
        .bind(now.0)
        .execute(tx.run())
        .await?;
    Ok(done.rows_affected())
}

/// The receiver's receipt came: nothing more to send.
pub async fn delivered(tx: &mut Tx, id: &str, receipt: &str, now: UnixMillis) -> Result<bool, StoreError> {
    let done =
        sqlx::query("UPDATE outbox SET done_at = $1, receipt = $2, trouble = NULL WHERE id = $3 AND done_at IS NULL")
            .bind(now.0)
            .bind(receipt)
            .bind(id)
            .execute(tx.run())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Try again at `at`. `trouble`: the receiver refuses it under this code, which an operator has to mend.
pub async fn postpone(tx: &mut Tx, id: &str, at: UnixMillis, trouble: Option<&str>) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET next_at = $1, trouble = $2 WHERE id = $3 AND done_at IS NULL")
        .bind(at.0)
        .bind(trouble)
        .bind(id)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// The receiver said no, and that was the answer: nothing more to send.
pub async fn refused(tx: &mut Tx, id: &str, trouble: &str, now: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET done_at = $1, trouble = $2 WHERE id = $3 AND done_at IS NULL")
        .bind(now.0)
        .bind(trouble)
        .bind(id)
        .execute(tx.run())
        .await?;
    Ok(())
}

/// How a line fares, for those who look at the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub target: String,
    pub path: String,
    pub attempts: i64,
    pub done: Option<UnixMillis>,
    pub receipted: bool,
    /// Code under which the receiver refuses it.
    pub trouble: Option<String>,
}

impl Delivery {
    /// Whether this asks the owner for an act, instead of telling of one.
    pub fn asks(&self) -> bool {
        asks(&self.path)
    }

    /// Whether this asks for this act.
    pub fn asks_for(&self, act: Act) -> bool {
        self.asks() && self.path.ends_with(&format!("-{}.asice", act.word()))
    }
}

impl Outgoing {
    pub fn asks(&self) -> bool {
        asks(&self.path)
    }
}

fn asks(path: &str) -> bool {
    path.contains("-ask-")
}

/// All lines of a case, in order.
pub async fn of_case(tx: &mut Tx, no: CaseNo) -> Result<Vec<Delivery>, StoreError> {
    let sql =
        "SELECT target, path, attempts, done_at, receipt, trouble FROM outbox WHERE no = $1 ORDER BY path, target";
    let rows = sqlx::query(sql).bind(no.to_string()).fetch_all(tx.run()).await?;
    rows.iter()
        .map(|row| {
            Ok(Delivery {
                target: row.try_get("target")?,
                path: row.try_get("path")?,
                attempts: row.try_get("attempts")?,
                done: row.try_get::<Option<i64>, _>("done_at")?.map(UnixMillis),
                receipted: row.try_get::<Option<String>, _>("receipt")?.is_some(),
                trouble: row.try_get("trouble")?,
            })
        })
        .collect()
}

/// Lines not yet delivered, and those of them that their receiver refuses: what operators watch.
pub async fn waiting(tx: &mut Tx) -> Result<(i64, i64), StoreError> {
    let row =
        sqlx::query("SELECT COUNT(*), COUNT(trouble) FROM outbox WHERE done_at IS NULL").fetch_one(tx.run()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[cfg(test)]
mod tests {
    use super::super::records::MIGRATIONS;
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn the_outbox_sends_in_order_until_a_receipt_comes() {
        for fresh in testing::each(MIGRATIONS).await {
            let no: CaseNo = "4190010000002026021300000017S".parse().unwrap();
            let out = |n: u32| Outgoing {
                id: format!("m{n}"),
                no,
                way: "peer".into(),
                target: "b".into(),
                path: format!("containers/{n:04}.asice"),
                attempts: 0,
            };
            let mut tx = fresh.store.begin().await.unwrap();
            for n in [1, 2] {
                post(&mut tx, &out(n), UnixMillis(0)).await.unwrap();
            }
            tx.commit(()).await.unwrap();
            // (at, ids taken): the second waits for the first; what was taken is held for 100 ms
            for (at, want) in [(0, vec!["m1"]), (50, vec![]), (100, vec!["m1"])] {
                let mut tx = fresh.store.begin().await.unwrap();
                let due = take_due(&mut tx, UnixMillis(at), 100, 10, &[]).await.unwrap();
                tx.commit(()).await.unwrap();
                assert_eq!(due.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), want, "at {at}");
            }
            let mut tx = fresh.store.begin().await.unwrap();
            assert!(delivered(&mut tx, "m1", "r", UnixMillis(150)).await.unwrap());
            assert!(!delivered(&mut tx, "m1", "r", UnixMillis(151)).await.unwrap(), "a second receipt changes nothing");
            let busy = take_due(&mut tx, UnixMillis(150), 100, 10, &["b", "c"]).await.unwrap();
            assert!(busy.is_empty(), "nothing goes to a receiver that is busy");
            let due = take_due(&mut tx, UnixMillis(150), 100, 10, &["a", "c"]).await.unwrap();
            assert_eq!(due.len(), 1);
            assert_eq!(due[0].id, "m2");
            tx.commit(()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_refusal_is_seen_until_it_is_mended() {
        for fresh in testing::each(MIGRATIONS).await {
            let no: CaseNo = "4190010000002026021300000017S".parse().unwrap();
            let out = |id: &str, path: &str| Outgoing {
                id: id.into(),
                no,
                way: "peer".into(),
                target: "b".into(),
                path: path.into(),
                attempts: 0,
            };
            let mut tx = fresh.store.begin().await.unwrap();
            post(&mut tx, &out("m1", "containers/1"), UnixMillis(0)).await.unwrap();
            post(&mut tx, &out("m2", "containers/2"), UnixMillis(0)).await.unwrap();
            postpone(&mut tx, "m1", UnixMillis(900), Some("TB-POL-0701")).await.unwrap();
            assert_eq!(waiting(&mut tx).await.unwrap(), (2, 1));
            assert!(delivered(&mut tx, "m1", "r", UnixMillis(901)).await.unwrap());
            refused(&mut tx, "m2", "TB-EXC-0001", UnixMillis(902)).await.unwrap();
            assert_eq!(waiting(&mut tx).await.unwrap(), (0, 0));
            let lines = of_case(&mut tx, no).await.unwrap();
            let told: Vec<_> = lines.iter().map(|l| (l.receipted, l.trouble.as_deref())).collect();
            assert_eq!(told, [(true, None), (false, Some("TB-EXC-0001"))]);
            tx.commit(()).await.unwrap();
        }
    }
}
