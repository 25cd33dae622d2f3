//! A long question in pieces that a server answers at once: servers limit how much one request may
//! ask for, small controllers to a few dozen nodes, and say so only when it was too much.
//!
//! Pure. It asks nothing itself.

use opcua::types::StatusCode;

/// The pieces of a question, one after the other. Bounded: a piece is halved at most until one thing
/// is left.
#[derive(Debug)]
pub(super) struct Pieces<'a, T> {
    left: &'a [T],
    size: usize,
    asked: usize,
}

impl<'a, T> Pieces<'a, T> {
    /// All of these, in pieces of at most `size_max` (1 or more).
    pub(super) fn of(all: &'a [T], size_max: usize) -> Self {
        Self {
            left: all,
            size: size_max.max(1),
            asked: 0,
        }
    }

    /// The piece to ask for next; none where all was asked for.
    pub(super) fn next(&mut self) -> Option<&'a [T]> {
        self.left = self.left.get(self.asked..).unwrap_or_default();
        self.asked = self.size.min(self.left.len());
        let piece = self.left.get(..self.asked);
        piece.filter(|piece| !piece.is_empty())
    }

    /// The last piece was answered by this. Whether it was too much at once and smaller ones come in its
    /// place.
    pub(super) fn halve(&mut self, status: StatusCode) -> bool {
        let is_halved = self.asked > 1 && is_too_much(status);
        if is_halved {
            self.size = self.asked / 2;
            self.asked = 0;
        }
        is_halved
    }
}

/// Whether a status says that a request asked for too much at once.
pub(super) fn is_too_much(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadTooManyOperations
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadRequestTooLarge
            | StatusCode::BadEncodingLimitsExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the pieces that a server with this limit answers, and of those that were too much.
    fn check(count: usize, size: usize, limit: usize, answered: &[usize], refused: &[usize]) {
        let all: Vec<usize> = (0..count).collect();
        let mut pieces = Pieces::of(&all, size);
        let (mut seen, mut sizes, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(piece) = pieces.next() {
            let status = match piece.len() > limit {
                true => StatusCode::BadTooManyOperations,
                false => StatusCode::BadTimeout,
            };
            if pieces.halve(status) {
                failed.push(piece.len());
            } else {
                sizes.push(piece.len());
                seen.extend_from_slice(piece);
            }
        }
        assert_eq!((sizes, failed), (answered.to_vec(), refused.to_vec()));
        assert_eq!(seen, all);
    }

    #[test]
    fn everything_is_asked_for_once_in_pieces_that_are_answered() {
        check(0, 10, 10, &[], &[]);
        check(10, 10, 10, &[10], &[]);
        check(11, 10, 10, &[10, 1], &[]);
        check(12, 10, 5, &[5, 5, 2], &[10]);
        check(7, 500, 2, &[1, 1, 1, 1, 1, 1, 1], &[7, 3]);
        // Not even one is answered: each is given up alone.
        check(2, 2, 0, &[1, 1], &[2]);
    }
}
