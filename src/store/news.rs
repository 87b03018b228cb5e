//! News between replicas on one store: told in a transaction, heard when it is committed.
//!
//! ```text
//!  replica 1: tell(tx, channel, text) ─commit─▶ PostgreSQL NOTIFY ─▶ LISTEN: replica 1, 2, …
//! ```
//! A SQLite store belongs to one process: there is nobody else to tell.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{Dialect, Store, StoreError, Tx};

/// Longest text; PostgreSQL takes less than 8,000 octets.
pub const TEXT_MAX: usize = 7_000;

/// Tells `text` on `channel` to whoever listens when the transaction is committed. Longer texts are not told.
pub async fn tell(tx: &mut Tx, channel: &str, text: &str) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Postgres {
        if text.len() > TEXT_MAX {
            return Err(StoreError::Unreadable { what: "news", why: "too long to be told".into() });
        }
        sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(text).execute(tx.run()).await?;
    }
    Ok(())
}

/// What comes over the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    /// The line broke and stands again: something may have been missed.
    Gap,
}

/// Listens on one channel, over a connection of its own.
pub struct Listening(PgListener);

impl Store {
    /// Begins to listen; `None` where no other process shares the store.
    pub async fn listen(&self, channel: &str) -> Result<Option<Listening>, StoreError> {
        let Some(url) = self.shared_url() else { return Ok(None) };
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(Some(Listening(listener)))
    }
}

impl Listening {
    /// The next news; waits for it.
    pub async fn next(&mut self) -> Result<Heard, StoreError> {
        match self.0.try_recv().await? {
            Some(news) => Ok(Heard::Text(news.payload().to_owned())),
            None => Ok(Heard::Gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn what_is_committed_is_heard_and_nothing_else() {
        for fresh in testing::each(&[]).await {
            let channel = format!("test_{}", std::process::id());
            let Some(mut listening) = fresh.store.listen(&channel).await.unwrap() else { continue };
            for (text, commits) in [("one", true), ("rolled back", false), ("two", true)] {
                let mut tx = fresh.store.begin().await.unwrap();
                tell(&mut tx, &channel, text).await.unwrap();
                if commits {
                    tx.commit(()).await.unwrap();
                }
            }
            for want in ["one", "two"] {
                assert_eq!(listening.next().await.unwrap(), Heard::Text(want.into()));
            }
            let mut tx = fresh.store.begin().await.unwrap();
            assert!(tell(&mut tx, &channel, &"x".repeat(TEXT_MAX + 1)).await.is_err());
        }
    }
}
