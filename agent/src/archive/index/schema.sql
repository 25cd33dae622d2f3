-- The index of an archive: what the verified leaves of all logs say, as tables to be asked.
--
-- It is made from the tiles alone and can be made anew at any time (`lineside archive index --rebuild`); nothing
-- else rests on it, and nobody but the archive writes it. One text for SQLite and PostgreSQL, where the tables are in
-- the schema `lineside`. Times (`…_ms`) are milliseconds since 1970 in UTC by the gateway's wall clock; lengths are
-- milliseconds of its monotonic clock. A column may be null only where its text says so. Texts longer than 256 bytes
-- stand as `sha256:` and their hash.

-- What this index is.
CREATE TABLE IF NOT EXISTS about (
  name TEXT NOT NULL, -- What is told: `version`; `archive`, the file `name` of the directory that it is of.
  text TEXT NOT NULL, -- The value.
  PRIMARY KEY (name)
);

-- Each log: one epoch of one gateway's ledger; and how far it is in this index.
CREATE TABLE IF NOT EXISTS logs (
  log BIGINT NOT NULL, -- Its number in this index; another after a rebuild.
  site TEXT NOT NULL, -- The pilot platform.
  gateway TEXT NOT NULL, -- The gateway.
  epoch BIGINT NOT NULL, -- The epoch of its ledger, from 1.
  origin TEXT NOT NULL, -- The log's origin, as its checkpoints say it.
  size BIGINT NOT NULL, -- Leaves that are in this index: those below it, each once.
  root TEXT NOT NULL, -- The root over these leaves, base64.
  first_ms BIGINT, -- When the first leaf was established; null while there is none.
  newest_ms BIGINT, -- When the newest leaf was established; null while there is none.
  unknown BIGINT NOT NULL, -- Leaves of a kind that the program did not know; they are in no other table.
  odd BIGINT NOT NULL, -- Leaves with a number beyond all bounds, which stands here as the bound; and those of machines beyond the first 1,024 of the log, which are in no other table.
  PRIMARY KEY (log),
  UNIQUE (site, gateway, epoch)
);

-- Each start of an agent, and how far its clock could be trusted last.
CREATE TABLE IF NOT EXISTS boots (
  log BIGINT NOT NULL, -- The log.
  boot TEXT NOT NULL, -- The kernel's boot id.
  leaf BIGINT, -- The newest leaf that says that the agent started; null where none does.
  at_ms BIGINT, -- When it started; null where no leaf says so.
  version TEXT, -- The agent's version; null where no leaf says so.
  previous TEXT, -- How the run before ended: `none`, `clean`, `crash`; null where no leaf says so.
  clock TEXT NOT NULL, -- The newest letter of its clock: U, I, S or R.
  PRIMARY KEY (log, boot)
);

-- Each machine that a log names.
CREATE TABLE IF NOT EXISTS machines (
  log BIGINT NOT NULL, -- The log.
  machine TEXT NOT NULL, -- The machine.
  name_zh TEXT, -- Its name in Chinese, if the text of its map is known and gives one.
  name_en TEXT, -- Its name in English, if the text of its map is known and gives one.
  map TEXT, -- The hash of its newest map (`sha256:…`); null before the first.
  first_ms BIGINT NOT NULL, -- The earliest moment that a leaf about it tells of.
  newest_ms BIGINT NOT NULL, -- When the newest leaf about it was established.
  PRIMARY KEY (log, machine)
);

-- The state of each machine as its newest state leaf says it. What it does now only availability tells.
CREATE TABLE IF NOT EXISTS states (
  log BIGINT NOT NULL, -- The log.
  machine TEXT NOT NULL, -- The machine.
  leaf BIGINT NOT NULL, -- The leaf.
  at_ms BIGINT NOT NULL, -- When it was decided.
  state TEXT NOT NULL, -- The state entered (`RUN`, …).
  state_before TEXT NOT NULL, -- The state left.
  since_ms BIGINT NOT NULL, -- Its onset.
  rule TEXT, -- The rule and its place in the map (`RUN@2`); null for UNKNOWN.
  map TEXT NOT NULL, -- The map's hash.
  PRIMARY KEY (log, machine)
);

-- Each session, with what its usage leaves add up to. Whose it is, its newest leaf says: a bind leaf, else its end,
-- else its begin.
CREATE TABLE IF NOT EXISTS sessions (
  log BIGINT NOT NULL, -- The log.
  machine TEXT NOT NULL, -- The machine.
  session TEXT NOT NULL, -- The session.
  open_leaf BIGINT, -- The leaf of its begin; null where there is none.
  close_leaf BIGINT, -- The leaf of its end; null as long as it runs.
  bind_leaf BIGINT, -- The newest leaf that binds it to a booking whose token came late; null for none.
  booking TEXT, -- Its booking; null where nobody booked.
  token TEXT, -- The hash of the booking's token (`sha256:…`); null for none.
  class TEXT, -- Its class, as it counts: EXT, OWN, AFF, TRN, MNT, UNB; null where no leaf says it, which counts as UNB.
  class_before TEXT, -- The class under which its leaves were written before it was bound; null where it was not.
  check_in TEXT, -- How it became known who uses the machine: `implied`, `portal`, `local`, `none`; null without begin and end.
  person TEXT, -- Who entered it at the machine, as a pseudonym; null where nobody did.
  from_ms BIGINT, -- When it began; null where neither begin nor end is in the log.
  to_ms BIGINT, -- When it ended; null as long as it runs.
  end_ms BIGINT NOT NULL, -- The same to sort by: 253402207200000 as long as it runs.
  reason TEXT, -- Why it ended: `check-out`, `ended`, `idle`, `next`, `removed`; null as long as it runs.
  outcome TEXT, -- What became of its booking; null as long as that is not known, and without one.
  leaves BIGINT NOT NULL, -- Its usage leaves.
  uncounted BIGINT NOT NULL, -- Those of them that count nowhere: see `usage.uncounted`.
  unknown_ms BIGINT NOT NULL, -- Of its time: UNKNOWN.
  off_ms BIGINT NOT NULL, -- OFF.
  down_ms BIGINT NOT NULL, -- DOWN.
  maint_ms BIGINT NOT NULL, -- MAINT.
  idle_ms BIGINT NOT NULL, -- IDLE.
  setup_ms BIGINT NOT NULL, -- SETUP.
  run_ms BIGINT NOT NULL, -- RUN.
  hold_ms BIGINT NOT NULL, -- HOLD.
  active_ms BIGINT NOT NULL, -- Activity: SETUP, RUN, and HOLD as far as it counts.
  energy_mwh BIGINT, -- What an independent meter counted, mWh; null without one.
  PRIMARY KEY (log, machine, session)
);
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (end_ms, log, machine, session);
CREATE INDEX IF NOT EXISTS sessions_by_log ON sessions (log, end_ms);

-- What became of each booking, with a session and without.
CREATE TABLE IF NOT EXISTS outcomes (
  log BIGINT NOT NULL, -- The log.
  leaf BIGINT NOT NULL, -- The leaf.
  at_ms BIGINT NOT NULL, -- When it was decided.
  machine TEXT NOT NULL, -- The machine.
  booking TEXT NOT NULL, -- The booking.
  token TEXT, -- The hash of its token (`sha256:…`); null for an unsigned booking.
  class TEXT NOT NULL, -- The class that its session has or would have had.
  outcome TEXT NOT NULL, -- `fulfilled`, `overrun`, `early-leave`, `no-show`, `indeterminate`, `platform-fault`, `cancelled`.
  check_in TEXT NOT NULL, -- How it became known that somebody came: `implied`, `portal`, `local`, `none`.
  session TEXT, -- Its session; null if there was none.
  start_ms BIGINT NOT NULL, -- When the slot began.
  end_ms BIGINT NOT NULL, -- When the slot ended.
  slot_ms BIGINT NOT NULL, -- The slot's length.
  active_ms BIGINT NOT NULL, -- Activity from half an hour before its start to five minutes after its end.
  unknown_ms BIGINT NOT NULL, -- Of the slot, UNKNOWN or not watched.
  down_ms BIGINT NOT NULL, -- Of the slot, DOWN or MAINT.
  coverage_pm BIGINT NOT NULL, -- The watched part of the time that the outcome rests on, in thousandths.
  PRIMARY KEY (log, leaf)
);
CREATE INDEX IF NOT EXISTS outcomes_by_start ON outcomes (start_ms, log, leaf);
CREATE INDEX IF NOT EXISTS outcomes_by_log ON outcomes (log, start_ms);

-- A row a usage leaf: what a machine did in a span, which ends at the full UTC hour at the latest. It counts for a
-- period if it begins in it, as in `lineside usage report`.
CREATE TABLE IF NOT EXISTS usage (
  log BIGINT NOT NULL, -- The log.
  leaf BIGINT NOT NULL, -- The leaf.
  machine TEXT NOT NULL, -- The machine.
  session TEXT, -- The session; null outside sessions.
  class TEXT, -- The session's class as this leaf says it; `sessions.class` is what counts. Null outside sessions.
  from_ms BIGINT NOT NULL, -- The span's begin.
  to_ms BIGINT NOT NULL, -- The span's end.
  unknown_ms BIGINT NOT NULL, -- Milliseconds UNKNOWN.
  off_ms BIGINT NOT NULL, -- OFF.
  down_ms BIGINT NOT NULL, -- DOWN.
  maint_ms BIGINT NOT NULL, -- MAINT.
  idle_ms BIGINT NOT NULL, -- IDLE.
  setup_ms BIGINT NOT NULL, -- SETUP.
  run_ms BIGINT NOT NULL, -- RUN.
  hold_ms BIGINT NOT NULL, -- HOLD.
  hold_over_ms BIGINT NOT NULL, -- Of these, HOLD beyond the time for which it counts as activity.
  active_ms BIGINT NOT NULL, -- Activity: SETUP, RUN, and HOLD as far as it counts.
  good BIGINT NOT NULL, -- Samples with a good value.
  bad BIGINT NOT NULL, -- Samples without.
  clock TEXT NOT NULL, -- The worst letter of the gateway's clock during the span: U, I, S or R.
  energy_mwh BIGINT, -- What an independent meter counted, mWh; null where there is none or it says nothing.
  map TEXT NOT NULL, -- The map's hash.
  uncounted BIGINT NOT NULL, -- 1: on its boot's clock it begins before what was counted has ended, or its states are longer than it is: it counts nowhere. Else 0.
  PRIMARY KEY (log, leaf)
);
CREATE INDEX IF NOT EXISTS usage_by_machine ON usage (log, machine, from_ms, leaf);

-- How far each machine's hours are counted on each boot's clock, so that none counts twice.
CREATE TABLE IF NOT EXISTS counted (
  log BIGINT NOT NULL, -- The log.
  machine TEXT NOT NULL, -- The machine.
  boot TEXT NOT NULL, -- The kernel's boot id.
  mono_to_ms BIGINT NOT NULL, -- The end of the last usage leaf that counts, on that boot's clock.
  PRIMARY KEY (log, machine, boot)
);

-- A span of time in which nobody watched a machine: it counts as UNKNOWN.
CREATE TABLE IF NOT EXISTS gaps (
  log BIGINT NOT NULL, -- The log.
  leaf BIGINT NOT NULL, -- The leaf.
  machine TEXT NOT NULL, -- The machine.
  from_ms BIGINT NOT NULL, -- The last moment that is accounted for.
  to_ms BIGINT NOT NULL, -- The first moment that is accounted for again.
  boot TEXT NOT NULL, -- The boot in which it ended.
  mono_to_ms BIGINT NOT NULL, -- Its end on that boot's clock.
  length_ms BIGINT, -- Its length, if need be as a later clock leaf told it; null while nobody knows.
  clock TEXT NOT NULL, -- The clock's letter when it ended: U, I, S or R.
  reason TEXT NOT NULL, -- Why: `agent` (it did not run), `map` (it was exchanged).
  PRIMARY KEY (log, leaf)
);
CREATE INDEX IF NOT EXISTS gaps_by_machine ON gaps (log, machine, from_ms, leaf);

-- What somebody said was wrong. What was written stays; sessions with a correction are worth grade D.
CREATE TABLE IF NOT EXISTS corrections (
  log BIGINT NOT NULL, -- The log.
  leaf BIGINT NOT NULL, -- The leaf.
  at_ms BIGINT NOT NULL, -- When it was said.
  refers BIGINT NOT NULL, -- The leaf that was wrong.
  machine TEXT, -- The machine of that leaf; null where it is of no session.
  session TEXT, -- The session of that leaf; null where it is of none.
  reason TEXT NOT NULL, -- What is right, and why.
  person TEXT NOT NULL, -- Who says so.
  PRIMARY KEY (log, leaf)
);
CREATE INDEX IF NOT EXISTS corrections_by_session ON corrections (log, machine, session);
