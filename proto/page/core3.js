
  // ---- Leaves ----------------------------------------------------------------------------------------------

  const isTime = (v) => time(v) !== null;
  const isSigned = (v) => Number.isSafeInteger(v);
  const isU32 = (v) => isCount(v) && v <= 0xffffffff;
  const oneOf = (...words) => (v) => words.includes(v);
  const maybe = (test) => (v) => v === null || v === undefined || test(v);
  const unless = (test) => (v) => v === undefined || test(v);
  const form = (fields) => {
    const all = Object.entries(fields);
    return (v) => isObject(v) && all.every(([name, test]) => test(has(v, name) ? v[name] : undefined));
  };
  const counts = (names) => (v) => isObject(v) && Object.keys(v).every((name) => names.includes(name) && isCount(v[name]));
  const isState = oneOf(...STATES);
  const isClass = oneOf(...CLASSES);
  const isLetter = oneOf("U", "I", "S", "R");
  const isCheckIn = oneOf("implied", "portal", "local", "none");
  const OUTCOMES = ["fulfilled", "overrun", "early-leave", "no-show", "indeterminate", "platform-fault", "cancelled"];
  const isReason = oneOf("check-out", "ended", "idle", "next", "removed");
  const counter = maybe(form({ from: isText, to: isText, delta: isText, resets: isU32 }));
  const isHead = form({ v: (v) => v === 1, index: isCount, at: isTime, boot: isText, mono_ms: isCount });
  const LEAVES = {
    genesis: form({ site: isName, gateway: isName, origin: isText, epoch: isU32, key: isText,
      prior: maybe(form({ origin: isText, size: isCount, root: isText, reason: isText })) }),
    boot: form({ version: isText, build: isText, previous: oneOf("none", "clean", "crash"), clock: isLetter, error_ms: maybe(isCount) }),
    config: form({ machine: isName, map: isText, files: isText }),
    booking: form({ machine: isName, booking: isText, token: maybe(isText), class: isClass, outcome: oneOf(...OUTCOMES),
      check_in: isCheckIn, session: maybe(isText), start: isTime, end: isTime, slot_ms: isCount, active_ms: isCount,
      unknown_ms: isCount, down_ms: isCount, coverage_pm: isU32 }),
    key: form({ old: isText, new: isText, old_signature: isText, new_signature: isText }),
    audit: form({ who: isText, action: isText, what: isText }),
    clock: form({ status: isLetter, before: isLetter, step_ms: maybe(isSigned), error_ms: maybe(isCount), source: isText }),
    state: form({ machine: isName, from: isState, to: isState, since: isTime, since_ms: isSigned, rule: maybe(isText), config: isText }),
    session: form({ machine: isName, session: isText, event: oneOf("open", "close"), booking: maybe(isText), token: maybe(isText),
      class: isClass, check_in: isCheckIn, by: maybe(isText), from: isTime, from_ms: isSigned, to: maybe(isTime),
      to_ms: maybe(isSigned), reason: maybe(isReason) }),
    usage: form({ machine: isName, session: maybe(isText), class: maybe(isClass), from: isTime, to: isTime,
      span_boot: maybe(isText), clock: maybe(isLetter), mono_from_ms: isCount, mono_to_ms: isCount, ms: counts(STATES),
      hold_over_ms: unless(isCount), good: isCount, bad: isCount, energy: counter, hours: counter, config: isText }),
    gap: form({ machine: isName, from: isTime, to: isTime, from_boot: isText, mono_from_ms: isCount, mono_to_ms: isCount,
      ms: maybe(isCount), clock: isLetter, reason: oneOf("agent", "map") }),
    anchor: form({ size: isCount, cosignature: isText }),
    bind: form({ machine: isName, session: isText, booking: isText, token: isText, class: isClass, before: isClass }),
    correction: form({ refers: isCount, reason: isText, by: isText }),
    summary: form({ machine: isName, day: isText, ms: counts(STATES), active_ms: counts(CLASSES), sessions: isU32 }),
  };

  /** A leaf from its exact bytes, or what is wrong with them. */
  function readLeaf(bytes) {
    if (bytes.length > LEAF_MAX) return [null, S(`has ${bytes.length} bytes, of ${LEAF_MAX} at most`, `有 ${bytes.length} 字节，上限 ${LEAF_MAX}`)];
    const leaf = readCanonical(bytes);
    if (leaf === undefined) return [null, S("is not canonical JSON of integers, texts, null, lists and objects", "不是由整数、文本、null、列表和对象组成的规范 JSON")];
    if (!isObject(leaf) || !isHead(leaf)) return [null, S("lacks what every leaf of version 1 has", "缺少版本 1 记录的公共字段")];
    if (!has(LEAVES, leaf.type)) return [null, S(`is of the type ${named(leaf.type)}, which is not known`, `类型 ${named(leaf.type)} 未知`)];
    if (!LEAVES[leaf.type](leaf)) return [null, S(`lacks a field of its type (${leaf.type}), or one has another form`, `缺少 ${leaf.type} 类型的字段，或格式不符`)];
    return [leaf, null];
  }

  const activityOf = ({ ms, hold_over_ms: over = 0 }) => Math.max(sum(sum(ms.SETUP || 0, ms.RUN || 0), ms.HOLD || 0) - over, 0);
  const lengthOf = ({ ms }) => Object.values(ms).reduce(sum, 0);
  function addStates(into, ms) {
    for (const [state, n] of Object.entries(ms)) if (n > 0) into[state] = sum(into[state] || 0, n);
  }
  /** A plain decimal in thousandths, the rest cut off; null for anything else. */
  function milli(text) {
    const found = /^(\d{1,18})(?:\.(\d+))?$/.exec(text);
    if (!found) return null;
    const n = BigInt(found[1]) * 1000n + BigInt(`${found[2] || ""}000`.slice(0, 3));
    return n > BigInt(SAFE) ? SAFE : Number(n);
  }
  const readingOf = (said) => {
    const rises = said ? milli(said.delta) : null;
    return rises === null ? null : { rises, fell: said.resets > 0 };
  };

  // ---- Check time ------------------------------------------------------------------------------------------

  /** Changes of state that no usage leaf covers, kept at most: an hour of eighteen a second. */
  const CHANGES_MAX = 65_536;
  const MACHINES_MAX = 10_000;

  /** How a machine's time adds up, leaf by leaf. */
  class MachineTime {
    constructor() {
      this.cursor = null;
      this.changes = [];
      this.from = 0;
      this.state = null;
      // In a bundle that begins later than the ledger: the onset of the first change met. What came before is not known.
      this.knownSince = null;
    }
    pushChange(since, state) {
      if (this.from > 4096) { this.changes = this.changes.slice(this.from); this.from = 0; }
      this.changes.push([since, state]);
    }
    clearChanges() { this.changes = []; this.from = 0; this.knownSince = null; }

    takeState(leaf, isWhole, bad) {
      const isFirst = this.state === null;
      if (!isFirst && leaf.from !== this.state) bad(`a change from ${leaf.from}, while the state was ${this.state}`, `记录称离开 ${leaf.from}，而此前状态为 ${this.state}`);
      this.state = leaf.to;
      if (isFirst && this.cursor === null && isWhole) {
        this.cursor = { boot: leaf.boot, ms: Math.max(leaf.since_ms, 0) };
        this.pushChange(leaf.since_ms, leaf.to);
        return;
      }
      if (isFirst && !isWhole) this.knownSince = leaf.since_ms;
      const newest = this.changes.length > this.from ? this.changes[this.changes.length - 1][0] : -Infinity;
      const isJoin = leaf.to === "UNKNOWN" && (leaf.rule === null || leaf.rule === undefined);
      const isLate = this.cursor !== null && (this.cursor.boot !== leaf.boot || (leaf.since_ms < this.cursor.ms && !isJoin));
      if (isLate || leaf.since_ms < newest) bad(`a change at ${leaf.since_ms} ms, before what was decided already`, `状态变化发生在 ${leaf.since_ms} 毫秒，早于已确定的时间`);
      if (this.changes.length - this.from >= CHANGES_MAX) {
        this.from += 1;
        bad(`more than ${CHANGES_MAX} changes of state that no usage leaf covers`, `未被使用记录覆盖的状态变化超过 ${CHANGES_MAX} 次`);
      }
      this.pushChange(leaf.since_ms, leaf.to);
    }

    follow(boot, from, to, bad) {
      if (to < from) bad(`a span from ${from} to ${to} ms`, `时段从 ${from} 到 ${to} 毫秒`);
      const { cursor } = this;
      if (cursor !== null && cursor.boot !== boot) bad(`time of the boot ${named(boot)}, while ${named(cursor.boot)} is accounted for`, `属于启动 ${named(boot)}，而已记账的是 ${named(cursor.boot)}`);
      else if (cursor !== null && from > cursor.ms) bad(`nobody accounts for the time from ${cursor.ms} to ${from} ms of the boot`, `启动后 ${cursor.ms} 至 ${from} 毫秒无人记账`);
      else if (cursor !== null && from < cursor.ms) bad(`the time from ${from} to ${Math.min(cursor.ms, to)} ms of the boot is accounted for twice`, `启动后 ${from} 至 ${Math.min(cursor.ms, to)} 毫秒被重复记账`);
      this.cursor = { boot, ms: to };
    }

    takeUsage(leaf, isWhole, bad) {
      const boot = isText(leaf.span_boot) ? leaf.span_boot : leaf.boot;
      const [from, to] = [leaf.mono_from_ms, leaf.mono_to_ms];
      this.follow(boot, from, to, bad);
      const length = Math.max(to - from, 0);
      if (lengthOf(leaf) !== length) bad(`the states add up to ${lengthOf(leaf)} ms, of ${length} ms`, `各状态合计 ${lengthOf(leaf)} 毫秒，应为 ${length} 毫秒`);
      const [begin, end] = [time(leaf.from), time(leaf.to)];
      if (end < begin || end > begin - ((begin % HOUR) + HOUR) % HOUR + HOUR) bad("a span beyond the full UTC hour", "时段越过 UTC 整点");
      if ((leaf.hold_over_ms || 0) > (leaf.ms.HOLD || 0)) bad("more time beyond the cap of HOLD than HOLD", "超出暂停上限的时间多于暂停时间");
      const known = this.states(from, to);
      const isKnown = isWhole || (this.state !== null && (this.knownSince === null || from >= this.knownSince));
      for (const state of STATES) {
        const [said, really] = [leaf.ms[state] || 0, known[state] || 0];
        if (said < really || (isKnown && said > really)) bad(`${said} ms of ${state}, where the state leaves say ${really} ms`, `${state} 为 ${said} 毫秒，而状态记录为 ${really} 毫秒`);
      }
    }
    /** What the state leaves say of a span; what ends before it is forgotten. */
    states(from, to) {
      const known = {};
      for (let i = this.from; i < this.changes.length; i += 1) {
        const [since, state] = this.changes[i];
        if (since >= to) break;
        const end = i + 1 < this.changes.length ? this.changes[i + 1][0] : Infinity;
        const length = Math.min(end, to) - Math.max(since, from);
        if (length > 0) known[state] = (known[state] || 0) + length;
      }
      while (this.from + 1 < this.changes.length && this.changes[this.from + 1][0] <= to) this.from += 1;
      return known;
    }

    takeGap(leaf, letterOf, bad) {
      const [from, to] = [leaf.mono_from_ms, leaf.mono_to_ms];
      this.follow(leaf.from_boot, from, from, bad);
      const length = isCount(leaf.ms) ? leaf.ms : null;
      if (leaf.from_boot === leaf.boot && from <= to) {
        if (length !== to - from) bad(`a gap of ${length} ms, where the boot's clock says ${to - from} ms`, `空档为 ${length} 毫秒，而启动时钟为 ${to - from} 毫秒`);
      } else {
        const before = letterOf(leaf.from_boot);
        if (length === null && leaf.clock !== "U" && before !== undefined && before !== "U") bad("a gap without a length, though the clock could be trusted", "时钟可信，空档却没有时长");
        this.clearChanges();
      }
      this.cursor = { boot: leaf.boot, ms: to };
    }
  }

  // ---- Sessions and sums -----------------------------------------------------------------------------------

  const newSession = (id, machine) => ({
    id, machine, open: null, close: null, closeAt: null, from: null, fromMs: 0, fromBoot: null, to: null, reason: null, checkIn: null,
    booking: null, token: null, cls: null, isOwned: false, isBound: false, used: null, isCorrected: false, leaves: 0, ms: {}, active: 0,
    energy: null, isUnsynchronised: false, maps: new Set(), meter: { leaves: 0, read: 0, fell: false, rises: 0, ms: 0 },
  });
  const newMachine = () => ({
    time: new MachineTime(), sessions: new Map(), running: null, isKnown: false, decided: new Set(), isOfPeriod: false,
    ms: {}, active: 0, outside: 0, energy: null, counter: null, counterRun: 0, good: 0, bad: 0, bookings: {}, maps: new Set(), days: new Map(),
    base: { rises: 0, ms: 0 }, tokens: new Map(),
  });
  const orNull = (v) => (v === undefined || v === "" ? null : v);
  const shown = (v) => (v === null ? "none" : named(v));
  const shownZh = (v) => (v === null ? "无" : named(v));

  /** All that is gathered while the leaves go by. */
  class Tally {
    constructor(manifest, findings, sizes) {
      // When trees of these sizes ended.
      this.sizes = new Set(sizes);
      this.times = new Map();
      this.manifest = manifest;
      this.findings = findings;
      this.from = time(manifest.from);
      this.to = time(manifest.to);
      this.isWhole = manifest.first === 0;
      this.machines = new Map();
      this.letters = new Map();
      this.clock = null;
      this.boots = new Set();
      this.hasGenesis = false;
      this.start = null;
      this.lastAt = null;
      this.lastOfPeriod = null;
      this.named = new Map();
      this.corrections = [];
      this.keys = [];
      this.periodMaps = new Map();
    }
    machine(name) {
      if (!this.machines.has(name)) this.machines.set(name, newMachine());
      return this.machines.get(name);
    }
    inPeriod(at) { return at >= this.from && at < this.to; }

    take(leaf) {
      const { index } = leaf;
      const where = isText(leaf.machine) ? S(`leaf ${index}, ${leaf.machine}`, `记录 ${index}，${leaf.machine}`) : S(`leaf ${index}`, `记录 ${index}`);
      const bad = (check) => (en, zh) => this.findings.fail(check, `${where.en}: ${en}`, `${where.zh}：${zh}`);
      this.takeClock(leaf, bad("time"));
      if (isText(leaf.machine) && this.machines.size >= MACHINES_MAX && !this.machines.has(leaf.machine)) {
        bad("time")(`more than ${MACHINES_MAX} machines`, `设备超过 ${MACHINES_MAX} 台`);
        return;
      }
      const machine = isText(leaf.machine) ? this.machine(leaf.machine) : null;
      const sessions = bad("sessions");
      if (leaf.type === "state") machine.time.takeState(leaf, this.isWhole, bad("time"));
      else if (leaf.type === "gap") this.takeGap(machine, leaf, bad("time"));
      else if (leaf.type === "usage") this.takeUsage(machine, leaf, bad("time"), sessions);
      else if (leaf.type === "session") this.takeSession(machine, leaf, sessions);
      else if (leaf.type === "bind") this.takeBind(machine, leaf, sessions);
      else if (leaf.type === "booking") this.takeBooking(machine, leaf, sessions);
      else if (leaf.type === "config") this.takeMap(leaf.map, index);
      else if (leaf.type === "correction") {
        if (leaf.refers >= index) sessions(`a correction of leaf ${leaf.refers}, which does not come before it`, `更正的记录 ${leaf.refers} 并不在其之前`);
        this.corrections.push(leaf.refers);
      }
      else if (leaf.type === "key") this.keys.push(leaf);
      else if (leaf.type === "genesis") this.takeGenesis(leaf, bad("period"));
    }
    takeClock(leaf, bad) {
      const at = time(leaf.at);
      if (this.start === null) this.start = { index: leaf.index, at };
      this.lastAt = at;
      if (at < this.to) this.lastOfPeriod = { index: leaf.index, at };
      if (this.sizes.has(leaf.index + 1)) this.times.set(leaf.index + 1, at);
      if (this.clock === null || this.clock.boot !== leaf.boot) {
        if (this.boots.has(leaf.boot)) bad(`the boot ${named(leaf.boot)} was over already`, `启动 ${named(leaf.boot)} 早已结束`);
        this.boots.add(leaf.boot);
      } else if (leaf.mono_ms < this.clock.mono) bad(`the boot's clock runs backwards, from ${this.clock.mono} to ${leaf.mono_ms} ms`, `启动时钟倒退：从 ${this.clock.mono} 到 ${leaf.mono_ms} 毫秒`);
      this.clock = { boot: leaf.boot, mono: leaf.mono_ms };
      if (leaf.type === "boot") this.letters.set(leaf.boot, leaf.clock);
      else if (leaf.type === "clock") this.letters.set(leaf.boot, leaf.status);
    }
    takeGenesis(leaf, bad) {
      if (this.hasGenesis) return;
      this.hasGenesis = true;
      for (const name of ["site", "gateway", "origin"]) {
        if (leaf[name] !== this.manifest[name]) bad(`the ledger began with the ${name} ${named(leaf[name])}, and the manifest says ${named(this.manifest[name])}`, `台账的 ${name} 为 ${named(leaf[name])}，而清单为 ${named(this.manifest[name])}`);
      }
    }
    takeMap(hash, index) { if (!this.named.has(hash)) this.named.set(hash, index); }
    takeGap(machine, leaf, bad) {
      machine.time.takeGap(leaf, (boot) => this.letters.get(boot), bad);
      if (time(leaf.from) < this.to && time(leaf.to) > this.from) machine.isOfPeriod = true;
    }

    session(machine, leaf) {
      if (!machine.sessions.has(leaf.session)) machine.sessions.set(leaf.session, newSession(leaf.session, leaf.machine));
      return machine.sessions.get(leaf.session);
    }
    sameAs(bad, what, name, session, said, known) {
      if (said !== known) bad(`${what.en} says ${name} ${shown(said)} of session ${named(session)}, which has ${shown(known)}`, `${what.zh}称上机记录 ${named(session)} 的 ${name} 为 ${shownZh(said)}，而应为 ${shownZh(known)}`);
    }
    /** A token opens one session on a machine. */
    spend(machine, session, bad) {
      if (session.token === null) return;
      const other = machine.tokens.get(session.token);
      if (other === undefined) machine.tokens.set(session.token, session.id);
      else if (other !== session.id) bad(`the token of session ${named(session.id)} has opened session ${named(other)} already`, `上机记录 ${named(session.id)} 的预约凭证已用于 ${named(other)}`);
    }
    mayRun(machine) { return !machine.isKnown && !this.isWhole; }

    takeSession(machine, leaf, bad) {
      const known = machine.sessions.get(leaf.session);
      if (leaf.event === "open") this.takeOpen(machine, leaf, known, bad);
      else this.takeClose(machine, leaf, known, bad);
      machine.isKnown = true;
    }
    takeOpen(machine, leaf, known, bad) {
      const id = named(leaf.session);
      if (known) bad(`session ${id} begins a second time, or after a leaf that is of it`, `上机记录 ${id} 重复开始，或在其记录之后才开始`);
      if (machine.running !== null) bad(`session ${id} begins while ${named(machine.running)} runs`, `上机记录 ${id} 开始时 ${named(machine.running)} 仍在进行`);
      if (orNull(leaf.to) !== null || orNull(leaf.to_ms) !== null || orNull(leaf.reason) !== null) bad(`session ${id} begins with an end`, `上机记录 ${id} 开始时已有结束信息`);
      machine.running = leaf.session;
      const session = this.session(machine, leaf);
      if (session.open === null) session.open = leaf.index;
      this.takeBegin(session, leaf);
      if (!session.isOwned) this.takeOwner(session, leaf);
      this.spend(machine, session, bad);
    }
    takeBegin(session, leaf) {
      session.from = time(leaf.from); session.fromMs = leaf.from_ms; session.fromBoot = leaf.boot; session.checkIn = leaf.check_in;
    }
    takeOwner(session, leaf) {
      session.cls = leaf.class; session.booking = orNull(leaf.booking); session.token = orNull(leaf.token); session.isOwned = true;
    }
    takeClose(machine, leaf, known, bad) {
      const id = named(leaf.session);
      const isOver = known !== undefined && known.close !== null;
      if (isOver) bad(`session ${id} ends a second time`, `上机记录 ${id} 重复结束`);
      else if (machine.running !== leaf.session && !(machine.running === null && this.mayRun(machine))) bad(`session ${id} ends and does not run`, `上机记录 ${id} 未在进行却结束`);
      machine.running = null;
      const [to, toMs, reason] = [orNull(leaf.to), orNull(leaf.to_ms), orNull(leaf.reason)];
      if (to === null || toMs === null || reason === null) bad(`session ${id} ends without saying when and why`, `上机记录 ${id} 结束时未说明时间和原因`);
      else if (toMs < leaf.from_ms) bad(`session ${id} ends before it began`, `上机记录 ${id} 在开始之前结束`);
      if (known) this.agrees(known, leaf, bad);
      const session = this.session(machine, leaf);
      if (isOver) return;
      if (session.from === null) this.takeBegin(session, leaf);
      Object.assign(session, { close: leaf.index, closeAt: time(leaf.at), to: to === null ? null : time(to), reason });
      if (!session.isBound) this.takeOwner(session, leaf);
      this.spend(machine, session, bad);
    }
    agrees(session, leaf, bad) {
      const what = S("its end", "其结束");
      if (session.cls !== null) this.sameAs(bad, what, "class", session.id, leaf.class, session.cls);
      if (session.isOwned) {
        this.sameAs(bad, what, "booking", session.id, orNull(leaf.booking), session.booking);
        this.sameAs(bad, what, "token", session.id, orNull(leaf.token), session.token);
      }
      if (session.from !== null) {
        this.sameAs(bad, what, "check_in", session.id, leaf.check_in, session.checkIn);
        this.sameAs(bad, what, "from", session.id, leaf.from, said(session.from));
        if (session.fromBoot === leaf.boot) this.sameAs(bad, what, "from_ms", session.id, leaf.from_ms, session.fromMs);
      }
      const end = Math.max(orNull(leaf.to_ms) || 0, 0);
      if (session.used !== null && session.used.boot === leaf.boot && session.used.ms > end) bad(`usage of session ${named(session.id)} at ${session.used.ms} ms of the boot, outside it`, `上机记录 ${named(session.id)} 的使用在启动后 ${session.used.ms} 毫秒，超出其范围`);
    }
    takeBind(machine, leaf, bad) {
      const known = machine.sessions.get(leaf.session);
      const id = named(leaf.session);
      if (!known && this.isWhole) bad(`session ${id} is bound to a booking and never began`, `上机记录 ${id} 绑定了预约却从未开始`);
      if (known) {
        if (known.cls !== null) this.sameAs(bad, S("the class before in a bind leaf", "绑定记录"), "class", known.id, leaf.before, known.cls);
        if (known.booking !== null) bad(`session ${id} is bound to booking ${named(leaf.booking)}, and has ${named(known.booking)}`, `上机记录 ${id} 绑定到预约 ${named(leaf.booking)}，但已有 ${named(known.booking)}`);
      }
      const session = this.session(machine, leaf);
      this.takeOwner(session, leaf);
      session.isBound = true;
      this.spend(machine, session, bad);
    }
    takeBooking(machine, leaf, bad) {
      if (machine.decided.has(leaf.booking)) bad(`the outcome of booking ${named(leaf.booking)} is said a second time`, `预约 ${named(leaf.booking)} 的结果重复`);
      machine.decided.add(leaf.booking);
      if (this.inPeriod(time(leaf.start))) {
        machine.bookings[leaf.outcome] = (machine.bookings[leaf.outcome] || 0) + 1;
        machine.isOfPeriod = true;
      }
      const id = orNull(leaf.session);
      if (id === null) return;
      const known = machine.sessions.get(id);
      if (!known) {
        if (this.isWhole) bad(`booking ${named(leaf.booking)} names session ${named(id)}, which never began`, `预约 ${named(leaf.booking)} 所指上机记录 ${named(id)} 从未开始`);
      } else if (known.isOwned) this.sameAs(bad, S("the outcome of a booking", "预约结果"), "booking", id, leaf.booking, known.booking);
    }
    takeUsage(machine, leaf, bad, badSession) {
      machine.time.takeUsage(leaf, this.isWhole, bad);
      this.takeMap(leaf.config, leaf.index);
      const session = this.useSession(machine, leaf, badSession);
      if (this.inPeriod(time(leaf.from))) this.count(machine, session, leaf);
    }
    useSession(machine, leaf, bad) {
      const [id, cls] = [orNull(leaf.session), orNull(leaf.class)];
      if (id === null) {
        if (cls !== null) bad(`usage of class ${cls} outside sessions`, `上机记录之外的使用标了类别 ${cls}`);
        return null;
      }
      if (machine.running !== id) {
        if (machine.running === null && this.mayRun(machine)) machine.running = id;
        else bad(`usage of session ${named(id)}, which does not run`, `上机记录 ${named(id)} 未在进行却有使用`);
      }
      machine.isKnown = true;
      const session = this.session(machine, leaf);
      if (cls === null) { bad(`usage of session ${named(id)} without a class`, `上机记录 ${named(id)} 的使用没有类别`); return session; }
      if (session.cls === null) session.cls = cls;
      else this.sameAs(bad, S("usage", "使用"), "class", id, cls, session.cls);
      const boot = isText(leaf.span_boot) ? leaf.span_boot : leaf.boot;
      if (session.from !== null && session.fromBoot === boot && leaf.mono_from_ms < Math.max(session.fromMs, 0)) {
        bad(`usage of session ${named(id)} at ${leaf.mono_from_ms} ms of the boot, before it began`, `上机记录 ${named(id)} 的使用在启动后 ${leaf.mono_from_ms} 毫秒，早于其开始`);
      }
      session.used = { boot, ms: leaf.mono_to_ms };
      return session;
    }

    count(machine, session, leaf) {
      const active = activityOf(leaf);
      const length = lengthOf(leaf);
      const energy = readingOf(leaf.energy);
      const hours = readingOf(leaf.hours);
      const boot = isText(leaf.span_boot) ? leaf.span_boot : leaf.boot;
      const letter = orNull(leaf.clock) || this.letters.get(boot) || "U";
      machine.isOfPeriod = true;
      addStates(machine.ms, leaf.ms);
      machine.active = sum(machine.active, active);
      if (session === null) machine.outside = sum(machine.outside, active);
      machine.good = sum(machine.good, leaf.good);
      machine.bad = sum(machine.bad, leaf.bad);
      if (machine.maps.size < BOUND.mapsListed) machine.maps.add(leaf.config);
      this.periodMaps.set(`${leaf.machine} ${leaf.config}`, leaf.index);
      const day = Math.floor((time(leaf.from) + 8 * HOUR) / DAY);
      if (!machine.days.has(day)) machine.days.set(day, {});
      addStates(machine.days.get(day), leaf.ms);
      if (hours) {
        machine.counter = sum(machine.counter || 0, hours.rises);
        machine.counterRun = sum(machine.counterRun, leaf.ms.RUN || 0);
      }
      if (energy) this.countEnergy(machine, session, leaf, energy.rises, active, length);
      if (session !== null) this.countSession(session, leaf, { active, length, energy, letter });
    }
    countEnergy(machine, session, leaf, rises, active, length) {
      machine.energy = machine.energy || { session: 0, idle: 0, run: 0, runMs: 0 };
      const { energy } = machine;
      if (session === null) energy.idle = sum(energy.idle, rises); else energy.session = sum(energy.session, rises);
      const run = leaf.ms.RUN || 0;
      if (run > 0 && run === length) { energy.run = sum(energy.run, rises); energy.runMs = sum(energy.runMs, run); }
      if (active === 0) { machine.base.rises = sum(machine.base.rises, rises); machine.base.ms = sum(machine.base.ms, length); }
    }
    countSession(session, leaf, { active, length, energy, letter }) {
      session.leaves += 1;
      addStates(session.ms, leaf.ms);
      session.active = sum(session.active, active);
      if (energy) session.energy = sum(session.energy || 0, energy.rises);
      if (letter !== "S") session.isUnsynchronised = true;
      session.maps.add(leaf.config);
      if (active === 0) return;
      const { meter } = session;
      meter.leaves += 1;
      if (energy) {
        meter.read += 1;
        meter.fell = meter.fell || energy.fell;
        meter.rises = sum(meter.rises, energy.rises);
        meter.ms = sum(meter.ms, length);
      }
    }
    isListed(session) { return session.leaves > 0 || (session.from !== null && this.inPeriod(session.from)); }
    * listed() {
      for (const [name, machine] of this.machines) {
        for (const session of machine.sessions.values()) if (this.isListed(session)) yield { name, machine, session };
      }
    }
  }

  function meterAgrees(machine, { meter }) {
    if (meter.read !== meter.leaves || meter.fell || meter.rises === 0) return false;
    const { base } = machine;
    if (base.ms < HOUR) return true;
    return BigInt(meter.rises) * BigInt(base.ms) * 10n >= BigInt(base.rises) * BigInt(meter.ms) * 12n;
  }
  /** Why a session's hours are not worth more, and what they are worth. `sight` is whom one believes. */
  function gradeOf(name, machine, session, sight) {
    const why = [];
    if (session.checkIn === "local" && session.token === null) why.push(["entered", "D"]);
    if (session.isCorrected) why.push(["corrected", "D"]);
    if (session.cls === "EXT" && !sight.isProven(name, session)) why.push(["token", "D"]);
    if (session.isUnsynchronised) why.push(["clock", "C"]);
    const isSeen = session.close !== null && sight.witnessed.some(({ size, at }) => size > session.close && at <= session.closeAt + DAY);
    if (!isSeen) why.push(["late", "C"]);
    if (![...session.maps].every((map) => sight.isApproved(name, map))) why.push(["map", "C"]);
    if (session.meter.read === 0) why.push(["no-meter", "B"]);
    else if (!meterAgrees(machine, session)) why.push(["meter", "C"]);
    return { grade: why.reduce((worst, [, grade]) => (grade > worst ? grade : worst), "A"), why: why.map(([word]) => word) };
  }

  const ordered = (object, names) => {
    const out = {};
    for (const name of names) if (has(object, name)) out[name] = object[name];
    return out;
  };
  const byText = ([a], [b]) => (a < b ? -1 : a > b ? 1 : 0);
  function totalsOf(tally, head, sight) {
    const { manifest } = tally;
    const period = tally.to - tally.from;
    const machines = [];
    for (const [name, machine] of [...tally.machines].sort(byText)) {
      const all = [...machine.sessions.values()].filter((session) => tally.isListed(session));
      if (!machine.isOfPeriod && all.length === 0) continue;
      const hours = {};
      const sessions = all.map((session) => {
        const { grade, why } = gradeOf(name, machine, session, sight);
        if (session.active > 0) {
          hours[session.cls] = hours[session.cls] || {};
          hours[session.cls][grade] = sum(hours[session.cls][grade] || 0, session.active);
        }
        const claims = sight.claimsOf(session);
        return {
          session: session.id, booking: session.booking, token: session.token, class: session.cls, check_in: session.checkIn,
          org: (claims && orNull(claims.org)) || null, org_kind: (claims && orNull(claims.org_kind)) || null,
          from: session.from === null ? null : said(session.from), to: session.to === null ? null : said(session.to), reason: session.reason,
          open: session.open, close: session.close, ms: ordered(session.ms, STATES), active_ms: session.active, energy_mwh: session.energy,
          grade, why,
        };
      });
      const known = Math.min(STATES.slice(1).reduce((n, state) => sum(n, machine.ms[state] || 0), 0), period);
      const { energy } = machine;
      machines.push({
        machine: name, period_ms: period, ms: ordered(machine.ms, STATES), known_ms: known,
        coverage_pm: Number(BigInt(known) * 1000n / BigInt(period)), active_ms: machine.active, outside_ms: machine.outside,
        hours: ordered(hours, CLASSES), energy_session_mwh: energy && energy.session, energy_idle_mwh: energy && energy.idle,
        energy_run_mwh: energy && energy.run, energy_run_ms: energy && energy.runMs, counter_milli: machine.counter,
        counter_run_ms: machine.counterRun, good: machine.good, bad: machine.bad, bookings: ordered(machine.bookings, OUTCOMES),
        maps: [...machine.maps], sessions,
        days: Object.fromEntries([...machine.days].filter(([, ms]) => Object.keys(ms).length > 0).sort(([a], [b]) => a - b)
          .map(([day, ms]) => [said(day * DAY).slice(0, 10), ordered(ms, STATES)])),
      });
    }
    return {
      v: 1, kind: "lineside-totals", site: manifest.site, gateway: manifest.gateway, origin: manifest.origin, from: manifest.from,
      to: manifest.to, first: manifest.first, end: manifest.end, size: manifest.size, root: head ? head.root64 : "", machines,
    };
  }
  /** The first place where two JSON values differ, as a path; null where they are the same. */
  function difference(one, other, path) {
    if (Array.isArray(one) && Array.isArray(other)) {
      if (one.length !== other.length) return path;
      for (let i = 0; i < one.length; i += 1) {
        const found = difference(one[i], other[i], `${path}[${i}]`);
        if (found !== null) return found;
      }
      return null;
    }
    if (isObject(one) && isObject(other)) {
      for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
        const place = path === "" ? named(name) : `${path}.${named(name)}`;
        if (has(one, name) !== has(other, name)) return place;
        const found = difference(one[name], other[name], place);
        if (found !== null) return found;
      }
      return null;
    }
    return one === other ? null : path;
  }
