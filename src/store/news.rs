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
    Text {
        channel: String,
        text: String,
    },
    /// The line broke and stands again: something may have been missed.
    Gap,
}

/// Listens over a connection of its own.
pub struct Listening(PgListener);

impl Store {
    /// Begins to listen on these channels; `None` where no other process shares the store.
    pub async fn listen(&self, channels: &[&str]) -> Result<Option<Listening>, StoreError> {
        let Some(url) = self.shared_url() else { return Ok(None) };
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen_all(channels.iter().copied()).await?;
        Ok(Some(Listening(listener)))
    }
}

impl Listening {
    /// The next news; waits for it.
    pub async fn next(&mut self) -> Result<Heard, StoreError> {
        match self.0.try_recv().await? {
            Some(news) => Ok(Heard::Text { channel: news.channel().to_owned(), text: news.payload().to_owned() }),
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
            let [channel, other, unheard] = ["", "b", "c"].map(|name| format!("test_{}{name}", std::process::id()));
            let Some(mut listening) = fresh.store.listen(&[&channel, &other]).await.unwrap() else { continue };
            for (channel, text, commits) in [
                (&channel, "one", true),
                (&channel, "rolled back", false),
                (&unheard, "to somebody else", true),
                (&other, "two", true),
            ] {
                let mut tx = fresh.store.begin().await.unwrap();
                tell(&mut tx, channel, text).await.unwrap();
                if commits {
                    tx.commit(()).await.unwrap();
                }
            }
            for (channel, text) in [(&channel, "one"), (&other, "two")] {
                let want = Heard::Text { channel: channel.clone(), text: text.into() };
                assert_eq!(listening.next().await.unwrap(), want);
            }
            let mut tx = fresh.store.begin().await.unwrap();
            assert!(tell(&mut tx, &channel, &"x".repeat(TEXT_MAX + 1)).await.is_err());
        }
    }
}
