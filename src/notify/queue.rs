//! Changes that wait to be told in one way.

use super::Change;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// More do not wait: a host whose state changes this often has another problem.
const MOST: usize = 256;

/// A queue with one reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Change, Instant)>,
    /// How many have left in front.
    gone: u64,
    /// Dropped for want of room, and not said yet.
    overrun: usize,
    closing: bool,
}

impl State {
    fn leave(&mut self) {
        self.waiting.pop_front();
        self.gone += 1;
    }
}

impl Queue {
    /// Adds a change; the oldest makes room.
    pub fn push(&self, change: Change) {
        let mut state = self.lock();
        if state.waiting.len() >= MOST {
            state.leave();
            state.overrun += 1;
        }
        state.waiting.push_back((change, Instant::now()));
        drop(state);
        self.news.notify_one();
    }

    /// Nothing comes any more.
    pub fn close(&self) {
        self.lock().closing = true;
        self.news.notify_one();
    }

    pub fn closing(&self) -> bool {
        self.lock().closing
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
    pub fn head(&self, most: usize) -> (Vec<Change>, u64) {
        let state = self.lock();
        let changes: Vec<Change> =
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
