// Each flush, lock, acknowledgement, second look and order of the mapping code, taken away one at a time: what
// test/race/scenarios.test.ts must notice. docs/decisions/0010 lists those that nothing can notice, and why.

const of = (file, mutants) => mutants.map(([breaks, find, replace]) => ({ file, breaks, find, replace }));

export const RACE_MUTANTS = [
  ...of('src/hypervisor/map-pages.ts', [
    ['mapping takes no lock', '  locks.lockBelow(table);\n', ''],
    ['mapping keeps its lock', '    locks.unlockBelow();\n', ''],
    [
      'what was read without a lock is not read again',
      'const isKnown = locks.isExclusive && isPresent(old)',
      'const isKnown = isPresent(old)',
    ],
    [
      'what mapping replaced is not flushed in the end',
      '    gather.complete();\n    return error;',
      '    return error;',
    ],
    [
      'mapping drops its lock before the flush',
      '    gather.complete();\n    return error;\n  } finally {\n    locks.unlockBelow();\n',
      '    return error;\n  } finally {\n    locks.unlockBelow();\n    gather.complete();\n',
    ],
    ['a changed page does not wait for the flush of a resize', '  if (wasPresent) gather.before(CHANGE);\n', ''],
    [
      'what a store replaced is not noted',
      '    gather.stored(CHANGE, page, FLUSH_TLB | FLUSH_ORDER(orderOf(level)) | flushFlags(mm, traits));\n',
      '    flushFlags(mm, traits);\n',
    ],
    ['a table below a superpage is not freed', '  gather.detach(table);\n', ''],
  ]),

  ...of('src/hypervisor/modify-mappings.ts', [
    ['modify takes no lock', '  locks.lockBelow(table);\n', ''],
    ['modify keeps its lock', '    locks.unlockBelow();\n', ''],
    ['what modify changed is not flushed in the end', '    gather.complete();\n', ''],
    [
      'modify as Xen does it does not flush in the end',
      '    if (isOneStep && error === 0 && mm.reached >= end) flush.all(0, FLUSH_TLB_GLOBAL);',
      '   ',
    ],
    [
      'modify drops its lock before the flush',
      '    gather.complete();\n    if (isOneStep && error === 0 && mm.reached >= end) flush.all(0, FLUSH_TLB_GLOBAL); // once, under the last lock\n    return error;\n  } finally {\n    locks.unlockBelow();\n',
      '    return error;\n  } finally {\n    locks.unlockBelow();\n    gather.complete();\n    if (isOneStep && mm.reached >= end) flush.all(0, FLUSH_TLB_GLOBAL);\n',
    ],
    [
      'a modified page does not wait for the flush of a split',
      "  if (behaviour.flush === 'gather') gather.before(CHANGE);\n",
      '',
    ],
    [
      'what modify changed is not noted',
      '  if (!gather.joins(CHANGE, flush)) gather.leaveOpen(CHANGE, mm.reached, flush);\n',
      '',
    ],
    ['an empty table keeps map_pgdir_lock', '    locks.unlockPgdir();\n', ''],
    ['whether a table is empty is not looked at again', ' && tables.isEmpty(table, above - 1);', ';'],
    [
      'whether an entry still leads to a table is not looked at again before it is unlinked',
      'const mayGo = isPresent(now) && !isLeaf(above, now) && isRemovable',
      'const mayGo = isRemovable',
    ],
    ['an empty table is not freed', '    gather.detach(table);\n', ''],
    ['an empty table is freed with no flush of its own', '    gather.stored(CHANGE, 0, FLUSH_TLB_GLOBAL);\n', ''],
  ]),

  ...of('src/hypervisor/superpage.ts', [
    [
      'a split takes no map_pgdir_lock',
      '  locks.lockPgdir();\n  const now = tables.read(entry);\n  const lost',
      '  const now = tables.read(entry);\n  const lost',
    ],
    ['a split keeps map_pgdir_lock', '  locks.unlockPgdir();\n  if (!lost)', '  if (!lost)'],
    [
      'a split does not look again',
      'const lost = !isPresent(now) || (now & PS) === 0;',
      'const lost = !isPresent(now) && now === -1;',
    ],
    [
      'a split is not flushed',
      '  if (flushes) gather.stored(RESIZE, page, FLUSH_TLB | global | FLUSH_ORDER(orderOf(level)));\n',
      '  void [gather, flushes, global];\n',
    ],
    [
      'the table of a split that was lost leaks',
      '  if (lost) heap.free(table, NEVER_PUBLISHED);\n',
      '  void [heap, NEVER_PUBLISHED];\n',
    ],
    [
      'a split links its table before it is filled',
      '  tables.fill(table, first, pieceFlags, pagesOf(level - 1));\n  // A change',
      '  // A change',
    ],
    [
      'a coalesce does not wait for the flush of a change',
      '  gather.before(RESIZE); // `map_pgdir_lock` is not held over a flush\n',
      '',
    ],
    [
      'whether an entry still leads to a table is not looked at again before it is coalesced',
      'if (!isPresent(now) || (now & PS) !== 0 || isFixed(mm, table) ||',
      'if (isFixed(mm, table) ||',
    ],
    ['a coalesce keeps map_pgdir_lock', '  locks.unlockPgdir();\n  if (base < 0) return', '  if (base < 0) return'],
    [
      'the table of a coalesce is not freed',
      '  mm.coalesces += 1;\n  gather.detach(table);\n',
      '  mm.coalesces += 1;\n  void table;\n',
    ],
    [
      'a coalesce is not flushed',
      '  gather.stored(RESIZE, page, FLUSH_TLB_GLOBAL | FLUSH_ORDER(orderOf(level)));\n',
      '',
    ],
    [
      'a coalesce does not scan',
      '    const base = tables.runBase(table, 1, flags);\n',
      '    tables.read(table * 512);\n    const base = tables.frame - (tables.frame % 512);\n',
    ],
  ]),

  ...of('src/hypervisor/virt-to-xen.ts', [
    ['linking a table takes no map_pgdir_lock', '  locks.lockPgdir();\n', ''],
    ['linking a table keeps map_pgdir_lock', '  locks.unlockPgdir();\n', ''],
    [
      'whoever links a table does not look again',
      '  const lost = isPresent(tables.read(entry));\n',
      '  const lost = tables.read(entry) === -1;\n',
    ],
    [
      'a table that another CPU was faster to add leaks',
      '  if (lost) heap.free(table, NEVER_PUBLISHED);\n',
      '  void [heap, NEVER_PUBLISHED];\n',
    ],
    ['a table is linked before it is cleared', '  tables.fill(table, 0, 0, 0);\n', ''],
  ]),

  ...of('src/hypervisor/xen-map-to-mfn.ts', [
    ['a lookup takes no lock', '  locks.lockBelow(Math.floor(pl3e / ENTRIES));\n', ''],
    ['a lookup keeps its lock', '    locks.unlockBelow();\n', '    void locks;\n'],
  ]),

  ...of('src/hypervisor/gather.ts', [
    ['nothing waits for the flush of what is open', '    if ((this.#open & ~kind) !== 0) this.complete();\n', ''],
    [
      'tables are freed before the flush',
      '    const proof = this.#flush.all(this.#page, this.#flags);\n',
      '    const proof = this.#flush.begin(0, 0) as never;\n',
    ],
    [
      'tables are freed, and flushed after that',
      '    const proof = this.#flush.all(this.#page, this.#flags);\n    const covered = this.#covered;\n    for (let nth = 0; nth < covered; nth++) {\n      if (this.#locks.isPerTable) this.#retired.push(this.#detached[nth]!);\n      else this.#heap.free(this.#detached[nth]!, proof);\n    }\n',
      '    const proof = this.#flush.begin(0, 0) as never;\n    const covered = this.#covered;\n    for (let nth = 0; nth < covered; nth++) {\n      if (this.#locks.isPerTable) this.#retired.push(this.#detached[nth]!);\n      else this.#heap.free(this.#detached[nth]!, proof);\n    }\n    this.#flush.all(this.#page, this.#flags);\n',
    ],
    [
      'several pages are flushed as the first one',
      '(this.#flags | flags) & ~FLUSH_ORDER_MASK);',
      'this.#flags | flags);',
    ],
    [
      'tables are not freed',
      '      else this.#heap.free(this.#detached[nth]!, proof);\n',
      '    void [this.#heap, proof];\n',
    ],
    [
      'tables are freed with the flush of something else',
      '    const covered = this.#covered;\n',
      '    const covered = this.#count;\n',
    ],
    ['a flush frees no table', '    this.#covered = this.#count;\n', ''],
  ]),

  ...of('src/hypervisor/flush.ts', [
    [
      'a flush begins nothing that it asks others for',
      '        this.acknowledged(others, this.request(others, page, remote & ~FLUSH_NO_ASSIST));\n',
      '',
    ],
    [
      'a flush asks and does not wait',
      'this.acknowledged(others, this.request(others, page, remote & ~FLUSH_NO_ASSIST));',
      'this.request(others, page, remote & ~FLUSH_NO_ASSIST);',
    ],
    ['a flush leaves its own CPU out', '(mask & self) !== 0 ? this.local(page, flags) : flags;', 'flags;'],
    [
      'a flush leaves the last CPU out',
      'const others = mask & this.#mailboxes.onlineMask & ~self;',
      'const others = mask & (this.#mailboxes.onlineMask >> 1) & ~self;',
    ],
    [
      'whoever is asked drops nothing',
      '    this.#drop((hi >>> 0) * 0x10_0000 + (lo >>> 12), flags === 0 ? TLB_FLAGS : flags);\n',
      '',
    ],
    ['a flush of many pages drops the first', 'if (order === 0) this.#page(', 'if (order >= 0) this.#page('],
    ['a full flush keeps structure caches', 'this.#cpu.translator.dropAll();', 'this.#cpu.translator.tlb.flushAll();'],
  ]),

  ...of('src/hypervisor/locks.ts', [
    [
      'map_pgdir_lock is free for everybody',
      'return this.#exchange(this.#control, PGDIR_LOCK, 0, this.#cpu + 1);',
      'return this.#control[PGDIR_LOCK]! >= 0;',
    ],
    [
      'the lock of an L3 table is free for everybody',
      '    if (!this.#exchange(words, at + TYPE_HI, type, type | PGT_LOCKED_HI)) return false;\n',
      '',
    ],
    [
      'what protects tables is not locked',
      '    if (!this.#lock(what)) return false;\n    this.#outer = what;',
      '    this.#outer = what;',
    ],
    ['map_pgdir_lock is not locked', '    this.#lock(LOCK_PGDIR);\n', ''],
    [
      'what protects tables is not unlocked',
      '    this.#outer = NOTHING;\n    this.#unlock(what);\n',
      '    this.#outer = NOTHING;\n    void what;\n',
    ],
    [
      'map_pgdir_lock is not unlocked',
      '    this.#holdsPgdir = 0;\n    this.#unlock(LOCK_PGDIR);\n',
      '    this.#holdsPgdir = 0;\n',
    ],
    [
      'the locks of all L3 tables are one that is never taken',
      '    if (this.#kind === L3_LOCKS) this.#takeOuter(l3);\n    else if',
      '    if',
    ],
  ]),

  ...of('src/cpu/mailboxes.ts', [
    [
      'an interrupt drops nothing',
      '      handler(words[operand]!, words[operand + 1]!, words[operand + 2]!);\n    }',
      '      void [handler, operand];\n    }',
    ],
    [
      'an interrupt does not acknowledge',
      '      Atomics.store(this.words, at(cpu, SERVED + sender), this.taken[sender]!);\n',
      '',
    ],
    [
      'an interrupt acknowledges the request before',
      'this.taken[sender] = Atomics.load(words, at(sender, SEQUENCE));',
      'this.taken[sender] = Atomics.load(words, at(sender, SEQUENCE)) - 1;',
    ],
    ['a request goes to nobody', '      Atomics.or(words, at(target, REQUESTS), 1 << sender);\n', ''],
    [
      'the second of two requests to a CPU takes the place of the first',
      'Atomics.or(words, at(target, REQUESTS), 1 << sender);',
      'Atomics.store(words, at(target, REQUESTS), 1 << sender);',
    ],
    ['a request says nothing of which page', '    words[operand] = lo;\n', ''],
    ['a request says nothing of which part of memory', '    words[operand + 1] = hi;\n', ''],
    ['requests are not numbered', '    Atomics.store(words, at(sender, SEQUENCE), number);\n', ''],
  ]),
];
