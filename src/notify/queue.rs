//! Changes that wait to be told in one way.

use super::Change;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// More do not wait: a host whose state changes this often has another problem.
const MOST: usize = 256;

/// A queue with one reader. Nothing is copied while it is locked: who adds to it has adverts to send.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Arc<Change>, Instant)>,
    /// How many have left in front.
    gone: u64,
    /// Dropped for want of room, and not said yet.
    overrun: usize,
    closing: bool,
    /// How things stand at the end.
    last: Vec<Change>,
}

impl State {
    fn leave(&mut self) {
        self.waiting.pop_front();
        self.gone += 1;
    }
}

impl Queue {
    /// Adds a change; the oldest makes room.
    pub fn push(&self, change: Arc<Change>) {
        let mut state = self.lock();
        if state.waiting.len() >= MOST {
            state.leave();
            state.overrun += 1;
        }
        state.waiting.push_back((change, Instant::now()));
        drop(state);
        self.news.notify_one();
    }

    /// Nothing comes any more, and so each virtual router stands.
    pub fn close(&self, last: Vec<Change>) {
        let mut state = self.lock();
        (state.closing, state.last) = (true, last);
        drop(state);
        self.news.notify_one();
    }

    pub fn closing(&self) -> bool {
        self.lock().closing
    }

    /// How things stood when it was closed.
    pub fn last(&self) -> Vec<Change> {
        std::mem::take(&mut self.lock().last)
    }

    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits for the next [`Queue::push`] or [`Queue::close`]; also ends for one that was not waited for. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until there is something to tell. False: there never will be.
    pub async fn filled(&self) -> bool {
        loop {
            let (empty, closing) = {
                let state = self.lock();
                (state.waiting.is_empty(), state.closing)
            };
            if !empty || closing {
                return !empty;
            }
            self.news().await;
        }
    }

    /// The oldest changes, `most` at most, and what to call [`Queue::done`] with once they are told.
    pub fn head(&self, most: usize) -> (Vec<Arc<Change>>, u64) {
        let state = self.lock();
        let changes: Vec<Arc<Change>> =
            state.waiting.iter().take(most).map(|(change, _)| change.clone()).collect();
        let mark = state.gone + changes.len() as u64;
        (changes, mark)
    }

    /// Removes what stood before this mark, as far as it is still there.
    pub fn done(&self, mark: u64) {
        let mut state = self.lock();
        while state.gone < mark && !state.waiting.is_empty() {
            state.leave();
        }
    }

    /// Removes what is older than this, and tells how many that were.
    pub fn expire(&self, age: Duration) -> usize {
        let mut state = self.lock();
        let before = state.waiting.len();
        while state.waiting.front().is_some_and(|(_, since)| since.elapsed() >= age) {
            state.leave();
        }
        before - state.waiting.len()
    }

    /// How many were dropped for want of room since the last call.
    pub fn overrun(&self) -> usize {
        std::mem::take(&mut self.lock().overrun)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::State as S;
    use std::time::UNIX_EPOCH;

    fn change(number: usize) -> Arc<Change> {
        Arc::new(Change {
            at: UNIX_EPOCH,
            host: String::new(),
            router: String::new(),
            addresses: Vec::new(),
            vrid: 1,
            interface: String::new(),
            from: S::Backup,
            to: S::Active,
            priority: 100,
            why: number.to_string(),
        })
    }

    fn words(changes: &[Arc<Change>]) -> Vec<&str> {
        changes.iter().map(|change| change.why.as_str()).collect()
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let queue = Queue::default();
        (0..MOST + 44).for_each(|number| queue.push(change(number)));
        assert_eq!((queue.len(), queue.overrun(), queue.overrun()), (MOST, 44, 0));
        assert_eq!(words(&queue.head(2).0), ["44", "45"]);
    }

    /// What was told has perhaps made room meanwhile: nobody else goes in its place.
    #[test]
    fn what_is_done_is_removed_once() {
        let queue = Queue::default();
        (0..MOST).for_each(|number| queue.push(change(number)));
        let (told, mark) = queue.head(2);
        assert_eq!(words(&told), ["0", "1"]);
        queue.push(change(MOST));
        queue.done(mark);
        assert_eq!(words(&queue.head(1).0), ["2"]);
        queue.done(mark);
        assert_eq!(queue.len(), MOST - 1);
        let (_, mark) = queue.head(usize::MAX);
        queue.done(mark);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn what_is_too_old_goes() {
        let queue = Queue::default();
        (0..2).for_each(|number| queue.push(change(number)));
        assert_eq!((queue.expire(Duration::from_secs(3600)), queue.len()), (0, 2));
        assert_eq!((queue.expire(Duration::ZERO), queue.len()), (2, 0));
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_first() {
        let queue = Queue::default();
        queue.push(change(0));
        queue.close(Vec::new());
        assert!(queue.filled().await);
        queue.done(queue.head(1).1);
        assert!(!queue.filled().await);
    }
}
