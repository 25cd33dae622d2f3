//! The queue against a naive one, through damage, crashes and full disks.
