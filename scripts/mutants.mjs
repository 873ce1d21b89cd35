// One-line mistakes for scripts/mutations.mjs to plant, most of them seen in real emulators. Each is what it breaks, the
// text to find (exactly once in its file) and what stands there instead.

const of = (file, mutants) => mutants.map(([breaks, find, replace]) => ({ file, breaks, find, replace }));

export const MUTANTS = [
  ...of('src/mmu/halves.ts', [
    ['the canonical check is one bit too wide', 'const spare = 64 - linearBits;', 'const spare = 63 - linearBits;'],
  ]),

  ...of('src/mmu/walk.ts', [
    [
      'the rights of the leaf alone count',
      'rights = narrow(rights, entryLo, entryHi);',
      'rights = narrow(ALL_RIGHTS, entryLo, entryHi);',
    ],
    ['a reserved-bit fault has P = 0', 'this.#fault(level, PF_P | PF_RSVD)', 'this.#fault(level, PF_RSVD)'],
    [
      'reserved bits of entries that are not present are judged',
      'if (!isPresent(entryLo)) return',
      'if (!isPresent(entryLo) && !format.violatesReserved(level, false, entryLo, entryHi)) return',
    ],
    [
      'rights are judged before a lower entry is looked at',
      'rights = narrow(rights, entryLo, entryHi);',
      'rights = narrow(rights, entryLo, entryHi); if (regime.denial(rights, access) !== 0) return this.#fault(level, PF_P);',
    ],
    [
      'a walk that faults sets A',
      "if (this.accessedOnFault === 'none') return true;",
      "if (this.accessedOnFault !== 'none') return true;",
    ],
    ['a read sets D', 'this.#mark(format, leaf, A);', 'this.#mark(format, leaf, A | D);'],
    ['a write does not set D', 'return this.#mark(format, leaf, A | D);', 'return this.#mark(format, leaf, A);'],
    [
      'the root entry gets no A',
      'for (let level = this.top; level > leaf;',
      'for (let level = this.top - 1; level > leaf;',
    ],
    [
      'an entry that changed since it was checked is not walked again',
      'this.#markUsed(format, access) : this.#markAboveFault(format)) return result;',
      'this.#markUsed(format, access) || true : this.#markAboveFault(format)) return result;',
    ],
    ['entries are written though nothing changes', 'if ((lo & flags) === flags) return true;', ''],
    [
      'structure caches forget the rights above',
      'this.rightsSoFar[level] = rights;',
      'this.rightsSoFar[level] = ALL_RIGHTS;',
    ],
  ]),

  ...of('src/mmu/memory-port.ts', [
    [
      'A and D go into a stale entry, whatever it became',
      'const stored = this.#exchange(page, index, size, expectedLo, expectedHi, lo, hi);',
      'this.load(table, index, size); const stored = this.#exchange(page, index, size, this.lo, this.hi, lo, hi);',
    ],
    [
      'A and D are written to tables in ROM',
      'if (page < 0 || memory.pages.has(page, PAGE_ROM)) return true;',
      'if (page < 0) return true;',
    ],
    ['A and D do not make the table dirty', 'else if (stored) memory.noteDirty(page);', ''],
  ]),

  ...of('src/mmu/access.ts', [
    [
      'XD is ANDed over the walk',
      '(rights & ((lo >>> 1) | ~(WRITABLE | USER))) | ((hi >>> 31) << 2);',
      '(rights & ((lo >>> 1) | ~(WRITABLE | USER | NO_EXECUTE))) & (((hi >>> 31) << 2) | ~NO_EXECUTE);',
    ],
    [
      'XD of the last entry alone counts',
      '(rights & ((lo >>> 1) | ~(WRITABLE | USER))) | ((hi >>> 31) << 2);',
      '(rights & ((lo >>> 1) | ~(WRITABLE | USER | NO_EXECUTE))) | ((hi >>> 31) << 2);',
    ],
    [
      'CR0.WP = 0 lets users write to read-only pages',
      'if (kind === WRITE) return has(WRITABLE);',
      'if (kind === WRITE) return has(WRITABLE) || !has(WP);',
    ],
    [
      'CR0.WP = 0 does not let supervisors write to read-only pages',
      'return kind === READ || has(WRITABLE) || !has(WP);',
      'return kind === READ || has(WRITABLE);',
    ],
    ['SMAP denies fetches', '!(has(USER) && has(SMEP));', '!(has(USER) && (has(SMEP) || has(SMAP)));'],
    ['SMEP denies fetches from supervisor pages', '!(has(USER) && has(SMEP));', '!has(SMEP);'],
    [
      'SMAP denies writes only',
      'if (has(USER) && has(SMAP)) return false;',
      'if (has(USER) && has(SMAP) && kind === WRITE) return false;',
    ],
    ['PK is missing in error codes', 'return PF_P | PF_PK;', 'return PF_P;'],
    ['a key is reported only where no other right denies', 'if (isData && ((', 'if (granted === kinds && isData && (('],
    [
      'PKRU is applied to supervisor pages',
      'return write ? this.#supervisorWriteDenied : this.#supervisorReadDenied;',
      'return write ? this.#userWriteDenied : this.#userReadDenied;',
    ],
    [
      'PKRU.WD binds the supervisor though CR0.WP = 0',
      '(userMode || wp ? everySecondBit(pkru >>> 1) : 0)',
      'everySecondBit(pkru >>> 1)',
    ],
    ['keys deny fetches', 'const isData = (kinds & READ_MODIFY_WRITE) !== 0;', 'const isData = kinds !== 0;'],
    [
      'a read-modify-write is reported as a read',
      '((access & WRITE) !== 0 ? PF_WR : 0)',
      '((access & READ_MODIFY_WRITE) === WRITE ? PF_WR : 0)',
    ],
  ]),

  ...of('src/mmu/paging-mode.ts', [
    ['MAXPHYADDR is off by one', 'bits(19, options.maxPhyAddr - 32)', 'bits(19, options.maxPhyAddr - 31)'],
    ['PAE ignores bits 62:52', "this.mode.name === 'pae' ? bits(30, 20) : 0;", '0;'],
    ['bit 63 is ignored where EFER.NXE = 0', '(options.nxe ? 0 : 1 << 31)', '0'],
    [
      'PS in a PML4E is ignored',
      'reservedLo[maskIndex(level, false)] = PS | (',
      'reservedLo[maskIndex(level, false)] = 0 | (',
    ],
    ['Intel reserves bit 8 of a PML4E', "(options.vendor === 'amd' ? G : 0)", 'G'],
    [
      '1 GiB pages on a processor without',
      '(mode.levels >= 4 && options.page1gb ? 1 << 3 : 0)',
      '(mode.levels >= 4 ? 1 << 3 : 0)',
    ],
    ['PS of a PDPTE is ignored without 1 GiB pages', 'if (!options.page1gb) reservedLo[maskIndex(3, false)] = PS;', ''],
    ['PSE-36 pages end at 36 bits', '(lo >>> 13) & 0xff);', '(lo >>> 13) & 0xf);'],
    ['bit 21 of a 4 MiB PDE is accepted', 'bits(21, width - 19)', 'bits(20, width - 19)'],
    ['the PAT bit of a superpage is reserved', 'bits(this.shift(level) - 1, 13)', 'bits(this.shift(level) - 1, 12)'],
    [
      'the PAT bit of a superpage is part of its address',
      'return frameFrom(lo & -(1 << this.shift(level)), hi & this.frameMaskHi);',
      'return this.tableFrame(lo, hi);',
    ],
    [
      'PAE and long mode ask for CR4.PSE',
      'this.pageSizeLevels = (1 << 2) |',
      'this.pageSizeLevels = (options.pse ? 1 << 2 : 0) |',
    ],
  ]),

  ...of('src/mmu/translation-cache.ts', [
    [
      'a flush spares what was filled since the last one',
      'return stamp > this.#flushed[context]! &&',
      'return stamp >= this.#flushed[context]! &&',
    ],
    [
      'hit views outlive the TLB entry that was evicted',
      'this.onEvict(this.#tagLo[victim]!, this.#tagHi[victim]!, this.#shift);',
      '',
    ],
    [
      'global entries are found for PCID 0 only',
      'return slot >= 0 || !this.#hasGlobal ?',
      'return slot >= 0 || !this.#hasGlobal || pcid !== 0 ?',
    ],
  ]),

  ...of('src/mmu/tlb.ts', [
    [
      'INVLPG leaves large pages',
      'for (let at = 0; at < 3; at++) if (this.#caches[at]!.drop(',
      'for (let at = 0; at < 1; at++) if (this.#caches[at]!.drop(',
    ],
    [
      'INVLPG leaves global pages',
      'return Math.max(this.dropOf(lo, hi, pcid), this.dropOf(lo, hi, GLOBAL_CONTEXT));',
      'return this.dropOf(lo, hi, pcid);',
    ],
  ]),

  ...of('src/mmu/structure-cache.ts', [
    ['structure caches of PCID 0 are used for every PCID', 'cache.find(lo, hi, pcid)', 'cache.find(lo, hi, 0)'],
    [
      'a walk from a structure cache starts with all rights',
      'this.rights = cache.rightsAt(slot);',
      'this.rights = ALL_RIGHTS;',
    ],
    [
      'INVPCID of an address leaves the deeper structure caches',
      'for (const cache of this.#caches) cache.drop(lo, hi, pcid);',
      'this.#caches[3]!.drop(lo, hi, pcid);',
    ],
  ]),

  ...of('src/mmu/hit-view.ts', [
    [
      'a dropped page stays in the views of other regimes',
      'for (let regime = 0; regime < 1 << REGIME_BITS; regime++) {',
      'for (let regime = this.#regime; regime === this.#regime; regime++) {',
    ],
    ['old entries come back when the generations have run out', 'this.tagLo.fill(EMPTY_TAG);', ''],
  ]),

  ...of('src/cpu/invalidation.ts', [
    ['MOV CR3 with bit 63 drops', '(noFlush ? DROP_NOTHING : DROP_PCID)', 'DROP_PCID'],
    [
      'a change of CR4.PGE leaves global pages',
      'if ((changed & CR4_PGE) !== 0 || (cleared & CR4_PCIDE) !== 0) return DROP_ALL;',
      'if ((changed & CR4_PGE) !== 0 || (cleared & CR4_PCIDE) !== 0) return DROP_PCID;',
    ],
    ['clearing CR4.PCIDE leaves other PCIDs', '|| (cleared & CR4_PCIDE) !== 0)', ')'],
    ['setting CR4.SMEP drops nothing', 'if ((set & CR4_SMEP) !== 0) return DROP_PCID;', ''],
    [
      'clearing CR0.PG drops nothing',
      '(before & ~after & CR0_PG) !== 0 ? DROP_ALL',
      '(before & ~after & CR0_PG) !== 0 ? DROP_NOTHING',
    ],
  ]),

  ...of('src/cpu/pdpte-registers.ts', [
    ['bits 2:1 of a PDPTE are accepted', 'const RESERVED_LO = 0x1e6;', 'const RESERVED_LO = 0x1e0;'],
    [
      'a load that is refused changes registers',
      'readonly #next: Int32Array = new Int32Array(8);',
      'readonly #next: Int32Array = this.values;',
    ],
  ]),

  ...of('src/cpu/registers.ts', [
    ['CR0.PG without CR0.PE is accepted', 'if ((after & CR0_PG) !== 0 && (after & CR0_PE) === 0) return REFUSED;', ''],
    ['bit 63 of CR3 is accepted without CR4.PCIDE', 'else if ((this.cr4 & CR4_PCIDE) !== 0) {', 'else {'],
    [
      'bits of CR3 past MAXPHYADDR are accepted',
      'if (address >>> (this.features.maxPhyAddr - 32) !== 0) return REFUSED;',
      '',
    ],
    [
      'MOV CR3 to bad PDPTEs raises nothing',
      "if (this.format.mode.name === 'pae' && !this.pdptes.load(lo)) return REFUSED;",
      "if (this.format.mode.name === 'pae') this.pdptes.load(lo);",
    ],
    ['MOV CR4 changing PGE, PSE or SMEP does not load PDPTEs', '(CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)', 'CR4_PAE'],
    [
      'CR4.PCIDE is accepted where CR3 has a PCID',
      '(!this.isLongMode || (this.cr3Lo & CR3_PCID) !== 0)',
      '!this.isLongMode',
    ],
    [
      'EFER.LME may change while paging',
      'if (((lo ^ this.efer) & EFER_LME) !== 0 && (this.cr0 & CR0_PG) !== 0) return REFUSED;',
      '',
    ],
    ['PCIDs are not told apart', '? this.cr3Lo & CR3_PCID : 0;', '? 0 : 0;'],
    [
      'PCD and PWT of CR3 are a PCID without CR4.PCIDE',
      '? this.cr3Lo & CR3_PCID : 0;',
      '? this.cr3Lo & CR3_PCID : this.cr3Lo & CR3_PCID;',
    ],
    [
      'I/D is not reported for SMEP alone',
      '(cr4 & CR4_SMEP) !== 0 || ((cr4 & CR4_PAE) !== 0 && nxe),',
      '(cr4 & CR4_PAE) !== 0 && nxe,',
    ],
    ['I/D is reported for NXE in 32-bit paging', '((cr4 & CR4_PAE) !== 0 && nxe),', 'nxe,'],
    ['#AC at CPL 0', 'this.ac !== 0 && this.cpl === 3;', 'this.ac !== 0;'],
  ]),

  ...of('src/cpu/translator.ts', [
    [
      'G counts though CR4.PGE = 0',
      'const isGlobal = registers.isGlobalEnabled && (walker.rights',
      'const isGlobal = (walker.rights',
    ],
    [
      'a write hits an entry whose D is 0',
      'const needsDirty = (access & WRITE) !== 0 && (rights & DIRTY) === 0;',
      'const needsDirty = false;',
    ],
    [
      'an entry that denies faults without a look at memory',
      "if (denial !== 0 && this.policy.deniedHit === 'fault')",
      'if (denial !== 0)',
    ],
    [
      'implicit accesses are judged as explicit ones',
      '(access & IMPLICIT) !== 0 ? REGIME_SUPERVISOR : registers.regime',
      'registers.regime',
    ],
    [
      'INVLPG keeps structure caches of other addresses',
      'this.structures.flush(this.registers.pcid);',
      'this.structures.dropAddress(lo, hi, this.registers.pcid);',
    ],
    ['MOV CR3 drops global pages', '      tlb.flush(registers.pcid);', '      tlb.flushAll();'],
    ['MOV CR3 drops PCID 0 instead of its own', '      tlb.flush(registers.pcid);', '      tlb.flush(0);'],
    ['MOV CR3 leaves structure caches', '      structures.flush(registers.pcid);', ''],
    [
      'INVPCID of an address drops global pages',
      'this.tlb.dropOf(lo, hi, pcid) > 1',
      'this.tlb.dropPage(lo, hi, pcid) > 1',
    ],
    [
      'INVPCID of one PCID leaves hit views',
      'this.structures.flush(pcid);\n    this.views.dropAll();',
      'this.structures.flush(pcid);',
    ],
    ['INVPCID type 3 drops global pages', 'this.tlb.flushNonGlobal();', 'this.tlb.flushAll();'],
    ['INVPCID type 2 leaves global pages', 'this.tlb.flushAll();', 'this.tlb.flushNonGlobal();'],
    [
      'a page fault leaves its TLB entry',
      'this.counters.faults += 1;\n    this.#dropPage(lo, hi);',
      'this.counters.faults += 1;',
    ],
    [
      'a page fault leaves structure-cache entries',
      '    this.structures.dropAddress(lo, hi, this.registers.pcid);',
      '',
    ],
    [
      'hit views outlive changes of CR0.WP, CR4.SMAP and PKRU',
      'this.views.dropAll();\n    this.views.useRegime(registers.regime);',
      'this.views.useRegime(registers.regime);',
    ],
    ['hits in large pages give the first frame', 'const within = level > 1 ?', 'const within = level > 2 ?'],
  ]),

  ...of('src/cpu/slow-path.ts', [
    ['#GP instead of #SS', '(access & STACK) !== 0 ? SS : GP', 'GP'],
    [
      'the last byte of an access may be non-canonical',
      'return isCanonical(hi, linearBits) && isCanonical(lastHi, linearBits);',
      'return isCanonical(hi, linearBits);',
    ],
    [
      'a split store writes its first page before the second is checked',
      'if (this.faulted !== NONE) return this.faulted;\n    const offset = lo & OFFSET_MASK;\n    if (',
      'if (this.faulted !== NONE && this.frame >= 0) this.physical.store(this.frame, lo & OFFSET_MASK, 1, valueLo, 0);\n    if (this.faulted !== NONE) return this.faulted;\n    const offset = lo & OFFSET_MASK;\n    if (',
    ],
    [
      'CR2 of a fault on the second page is the address of the access',
      'this.secondFrame = translator.frame;\n',
      'this.secondFrame = translator.frame; if (second !== NONE) translator.cr2Lo = lo;\n',
    ],
    [
      'a split access does not carry into the high half',
      'is64Bit && nextLo === 0 ? (hi + 1) | 0 : linearHi',
      'linearHi',
    ],
    [
      'the second page of a split load is the next frame',
      'physical.load(offset + k < PAGE_SIZE ? frame : secondFrame,',
      'physical.load(offset + k < PAGE_SIZE ? frame : frame + 1,',
    ],
    [
      'the second page of a split store is the next frame',
      'physical.store(offset + k < PAGE_SIZE ? frame : secondFrame,',
      'physical.store(offset + k < PAGE_SIZE ? frame : frame + 1,',
    ],
    [
      'linear addresses outside 64-bit code keep their high half',
      'const linearHi = is64Bit ? hi : 0;',
      'const linearHi = hi;',
    ],
    [
      'implicit accesses at CPL 3 fill the hit views of the user',
      'this.translator.isCached && (access & IMPLICIT) === 0 &&',
      'this.translator.isCached &&',
    ],
    [
      'ROM and code pages get a write view',
      'if ((access & WRITE) !== 0 && memory.pages.bytes[page] !== PAGE_DIRTY) return;',
      'if ((access & WRITE) !== 0 && memory.pages.bytes[page] === 0) return;',
    ],
    [
      'stores go past dirty bits that were cleared',
      'flagsTightened: () => this.views.writes.dropAll(),',
      'flagsTightened: () => {},',
    ],
    [
      'hit views outlive a device put in front of RAM',
      'this.quads = memory.quads;\n        this.views.dropAll();',
      'this.quads = memory.quads;',
    ],
    [
      'a watchpoint misses pages that are in a hit view',
      'this.#watchpoints.add(watch);\n    this.views.dropAll();',
      'this.#watchpoints.add(watch);',
    ],
    [
      'a large page over RAM and device is taken for RAM',
      'if (!this.memory.isContiguous(this.translator.frame - within, LARGE_FRAMES)) return;',
      '',
    ],
    [
      'A20 is lost in large pages',
      'if (large === undefined || this.translator.a20Masked) return;',
      'if (large === undefined) return;',
    ],
    [
      '`service` does not notice other threads',
      'this.#epoch = epoch;\n    this.views.writes.dropAll();',
      'this.#epoch = epoch;',
    ],
  ]),

  ...of('src/cpu/processor.ts', [
    ['hit views outlive a change of CPL or EFLAGS.AC', '    this.views.useRegime(registers.regime);', ''],
    ['INVPCID accepts bits 63:32 of the PCID', 'pcidHi !== 0 || pcidLo >>> 12 !== 0', 'pcidLo >>> 12 !== 0'],
    [
      'INVLPG of a non-canonical address drops',
      'else if (isCanonical(hi, registers.format.mode.linearBits)) this',
      'else this',
    ],
  ]),

  ...of('src/cpu/hit-path.ts', [
    ['read32 at odd halfwords hits', 'const TAG32 = TAG8 | 3;', 'const TAG32 = TAG8 | 1;'],
    [
      'a store hits where loads are allowed',
      'write32(lo: number, hi: number, value: number, stack = 0): number {\n    const view = this.views.writes;',
      'write32(lo: number, hi: number, value: number, stack = 0): number {\n    const view = this.views.reads;',
    ],
    [
      'a fetch hits where loads are allowed',
      'fetch8(lo: number, hi: number): number {\n    const view = this.views.fetches;',
      'fetch8(lo: number, hi: number): number {\n    const view = this.views.reads;',
    ],
    ['write64 stores the low half twice', 'scratch[1] = valueHi;', 'scratch[1] = valueLo;'],
  ]),

  ...of('src/mmu/physical-access.ts', [
    ['ROM can be written', 'if (memory.pages.has(page, PAGE_ROM)) return;', ''],
    ['ranges that are written do not become dirty', 'memory.noteWrite(page, frame, offset, count);', ''],
    ['unaligned quadwords store their low half twice', '(k < 4 ? lo : hi) >>> (8 * (k & 3))', 'lo >>> (8 * (k & 3))'],
  ]),

  ...of('src/mmu/physical-atomic.ts', [
    [
      'compareExchange64 compares the low half alone',
      'if (old !== expectedLo || (size === 8 && oldHi !== expectedHi)) return old;',
      'if (old !== expectedLo) return old;',
    ],
    ['locked operations write to ROM', 'page < 0 || memory.pages.has(page, PAGE_ROM) ? -1', 'page < 0 ? -1'],
  ]),
];
