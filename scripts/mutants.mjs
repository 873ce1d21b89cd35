// One-line mistakes for scripts/mutations.mjs to plant, most of them seen in real emulators. Each is what it breaks, the
// text to find (exactly once in its file) and what stands there instead.

const of = (file, mutants) => mutants.map(([breaks, find, replace]) => ({ file, breaks, find, replace }));

export const MUTANTS = [
  ...of('src/mmu/halves.ts', [
    ['the canonical check is one bit too wide', 'const spare = 64 - linearBits;', 'const spare = 63 - linearBits;'],
  ]),

  ...of('src/mmu/walk.ts', [
    [
      'only the leaf need be marked',
      'for (let level = this.top; level >= this.level; level--) if ((this.los',
      'for (let level = this.level; level >= this.level; level--) if ((this.los',
    ],
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
      'const stored = this.#exchange(page, index, size, expectedLo, expectedHi, lo);',
      'this.load(table, index, size); const stored = this.#exchange(page, index, size, this.lo, this.hi, lo);',
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
    ['Intel reserves bit 8 of a PML4E', "= PS | (options.vendor === 'amd' ? G : 0);\n    }", '= PS | G;\n    }'],
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

  ...of('src/mmu/generations.ts', [
    [
      'contexts share the numbers of generations',
      'this.#last += (this.#last & 0xfff) === 0xfff ? 2 : 1;\n    this.#numbers[context] = this.#last;',
      'this.#numbers[context]! += 1;\n    this.#last = Math.max(this.#last, this.#numbers[context]!);',
    ],
    [
      'a flush of all PCIDs takes global pages along',
      'return number > this.#over || context === GLOBAL_CONTEXT ?',
      'return number > this.#over ?',
    ],
    ['entries outlive numbers that begin anew', 'for (const empty of this.#empty) empty();', ''],
    ['numbers run out', 'if (this.#last >= this.#limit) this.#beginAnew();\n    this.#begin', 'this.#begin'],
  ]),

  ...of('src/mmu/translation-cache.ts', [
    [
      'entries of other PCIDs and of before a flush are found',
      'if (words[word + KEY] !== key || words[word + TAG_HI] !== tagHi) continue;\n      if (words[word + GENERATION] === generation)',
      'if (((words[word + KEY]! ^ key) & ~KEY_GENERATION) !== 0 || words[word + TAG_HI] !== tagHi) continue;\n      if (words[word + GENERATION]! > 0)',
    ],
    [
      'entries come back after 4095 flushes',
      'if (words[word + GENERATION] === generation) return first + way;',
      'if (words[word + GENERATION]! > 0) return first + way;',
    ],
    [
      'hit views outlive the TLB entry that was evicted',
      'this.onEvict(tag, words[word + TAG_HI]!, this.#shift, words[word + RIGHTS]! >>> MARK_SHIFT);',
      '',
    ],
    [
      'entries are lost when a cache grows',
      'for (const [lo, hi, context, frame, rights] of live)',
      'for (const [lo, hi, context, frame, rights] of live.slice(1))',
    ],
    [
      'global entries are found for PCID 0 only',
      'return slot >= 0 || !this.hasGlobal ?',
      'return slot >= 0 || !this.hasGlobal || pcid !== 0 ?',
    ],
  ]),

  ...of('src/mmu/tlb.ts', [
    [
      'INVLPG leaves large pages',
      'for (let at = 0; at < 3; at++) if (this.caches[at]!.drop(',
      'for (let at = 0; at < 1; at++) if (this.caches[at]!.drop(',
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
      'for (const cache of this.caches) cache.drop(lo, hi, pcid);',
      'this.caches[3]!.drop(lo, hi, pcid);',
    ],
  ]),

  ...of('src/mmu/hit-view.ts', [
    [
      'a dropped page stays in the views of other regimes',
      'for (let left = regimes; left !== 0; left &= left - 1)',
      'for (let left = regimes & this.mark; left !== 0; left &= left - 1)',
    ],
    [
      'a view that is through with its keys begins them anew',
      'if (this.#generation === 0) homes.leave(this.#tenancy);',
      '',
    ],
    ['a CPU is not told of the key that a fill has changed', '      this.#moved();\n', ''],
    ['pieces of large pages are found as 4 KiB pages', 'const LARGE = 1 << 10;', 'const LARGE = 0;'],
    ['a view without a home is filled', '    return this.key < NOWHERE;\n', '    return true;\n'],
    ['accesses at odd halfwords hit', 'const TAG32: number = ~0xffc;', 'const TAG32: number = ~0xffe;'],
  ]),

  ...of('src/mmu/hit-table.ts', [
    ['homes are let again with what was left in them', '    TAGS.fill(EMPTY_TAG);\n', ''],
    [
      'homes are let again while somebody lives there',
      '    [this.#free, this.#left] = [this.#left, this.#free];',
      '    this.#left = [];\n    this.#free = Array.from({ length: HOMES }, (_, nth) => homeAt(nth));',
    ],
    ['homes of views that are garbage stay taken', '(tenancy) => this.leave(tenancy)', '(_tenancy) => {}'],
    ['all views have the same keys', '  return home * GENERATIONS;', '  return 0 * home;'],
    [
      'the views of a CPU push each other out',
      'home |= ((nth >>> bit) & 1) << (HOME_BITS - 1 - bit);',
      'home |= ((nth >>> bit) & 1) << bit;',
    ],
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
      '(access & IMPLICIT) !== 0 ? registers.regimes[REGIME_SUPERVISOR] : registers.current',
      'registers.current',
    ],
    [
      'hit views outlive changes of CR0.WP, CR4.SMAP and PKRU',
      'this.views.dropAll();\n    this.views.useRegime(registers.regime);',
      'this.views.useRegime(registers.regime);',
    ],
    ['hits in large pages give the first frame', 'const within = level > 1 ?', 'const within = level > 2 ?'],
  ]),

  ...of('src/cpu/cached-translations.ts', [
    [
      'G counts though CR4.PGE = 0',
      'const isGlobal = registers.isGlobalEnabled && (walker.rights',
      'const isGlobal = (walker.rights',
    ],
    [
      'INVLPG keeps structure caches of other addresses',
      'this.structures.flush(this.registers.pcid);',
      'this.structures.dropAddress(lo, hi, this.registers.pcid);',
    ],
    ['MOV CR3 drops global pages', 'this.tlb.flush(pcid);', 'this.tlb.flushAll();'],
    ['MOV CR3 drops PCID 0 instead of its own', 'this.tlb.flush(pcid);', 'this.tlb.flush(0);'],
    ['MOV CR3 leaves structure caches', 'this.structures.flush(pcid);', ''],
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
      'this.#dropPage(lo, hi);\n    this.structures.dropAddress(lo, hi, this.registers.pcid);',
      'this.structures.dropAddress(lo, hi, this.registers.pcid);',
    ],
    [
      'a page fault leaves structure-cache entries',
      '    this.structures.dropAddress(lo, hi, this.registers.pcid);',
      '',
    ],
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
      'if (vector !== NONE) return vector;\n    const offset = lo & OFFSET_MASK;\n    if (',
      'if (vector !== NONE && this.frame >= 0) this.physical.store(this.frame, lo & OFFSET_MASK, 1, valueLo, 0);\n    if (vector !== NONE) return vector;\n    const offset = lo & OFFSET_MASK;\n    if (',
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
      'linear addresses outside 64-bit code keep their high half',
      'const linearHi = is64Bit ? hi : 0;',
      'const linearHi = hi;',
    ],
    [
      'implicit accesses at CPL 3 fill the hit views of the user',
      'this.translator.isCached && (access & IMPLICIT) === 0 &&',
      'this.translator.isCached &&',
    ],
    ['stores hit under the key of loads', 'this.writeKey = writes.key;', 'this.writeKey = reads.key;'],
    [
      'stores go past dirty bits that were cleared',
      'flagsTightened: () => this.views.dropWrites(),',
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
    ['a hit after a fault leaves the fault', 'else this.views.close();', ''],
    [
      '`service` does not notice other threads',
      'this.#epoch = epoch;\n    this.views.dropWrites();',
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

  ...of('src/cpu/refill.ts', [
    [
      'the short way grants what rights deny',
      'if (!this.#isOpen(page, rights, access) || !registers.current.allows(rights, access)) return -1;',
      'if (!this.#isOpen(page, rights, access)) return -1;',
    ],
    [
      'the short way grants what a key denies',
      '!this.#isOpen(page, rights, access) || !registers.current.allows(rights, access)',
      '!this.#isOpen(page, rights, access) || !registers.current.allows(rights & 7, access)',
    ],
    ['the short way stores without D', '(rights & DIRTY) !== 0 && ', ''],
    ['views answer for pieces of large pages that end past 4 GiB of the buffer', 'first <= LAST_LARGE && ', ''],
    [
      'the short way leaves A to others',
      '(shift > 0 ? ordinaryUpper : ordinaryLeaf)) !== ORDINARY',
      '(shift > 0 ? ordinaryUpper : ordinaryLeaf) & ~32) !== 1',
    ],
    ['the short way meets no reserved bits above bit 31', 'if ((anyHi & ordinaryHi) !== 0) return -1;', ''],
    ['the short way takes XD of the leaf only', 'anyHi |= entryHi;', 'anyHi = entryHi;'],
    ['the short way takes R/W and U/S of the leaf only', 'allLo &= entryLo;', 'allLo = entryLo;'],
    [
      'ROM and code pages get a write view',
      'memory.pages.bytes[page] === PAGE_DIRTY);',
      'memory.pages.bytes[page] !== 0);',
    ],
    [
      'hits store into clean pages and code',
      'return (access & WRITE) === 0 || ((rights & DIRTY) !== 0 && this.memory.pages.bytes[page] === PAGE_DIRTY);',
      'return page >= 0;',
    ],
    [
      'the short way keeps global pages for one PCID',
      'if ((rights & GLOBAL) !== 0 && registers.isGlobalEnabled === true) {',
      'if (false) {',
    ],
    ['the short way ignores A20', ' && !this.translator.a20Masked;', ';'],
    [
      'the short way wraps addresses that are not canonical',
      ' || !isCanonical(hi, format.mode.linearBits)) return -1;',
      ') return -1;',
    ],
    [
      'hit views outlive the entry that the short way evicts',
      'views.dropMarked(evicted, words[word + TAG_HI]!, words[word + RIGHTS]! >>> MARK_SHIFT);',
      '',
    ],
    [
      'the short way finds entries of other PCIDs and of before a flush',
      'else if (differs === 0 && words[word + TAG_HI] === hi && words[word + GENERATION] === generation)',
      'if ((differs & ~KEY_GENERATION) === 0 && words[word + TAG_HI] === hi && words[word + GENERATION]! > 0)',
    ],
    [
      'the short way finds entries of 4095 flushes ago',
      'words[word + TAG_HI] === hi && words[word + GENERATION] === generation)',
      'words[word + TAG_HI] === hi)',
    ],
    [
      'the short way starts below PDEs of other PCIDs and of before a flush',
      'pdeWords[word + KEY] === ((lo & PDE_TAG) | (known & KEY_GENERATION)) &&\n        pdeWords[word + TAG_HI] === hi &&\n        pdeWords[word + GENERATION] === known;',
      '(pdeWords[word + KEY]! & PDE_TAG) === (lo & PDE_TAG) && pdeWords[word + TAG_HI] === hi;',
    ],
    [
      'the short way starts below PDEs of 4095 flushes ago',
      'pdeWords[word + TAG_HI] === hi &&\n        pdeWords[word + GENERATION] === known;',
      'pdeWords[word + TAG_HI] === hi;',
    ],
    ['the short way starts below PDEs of other upper halves', 'pdeWords[word + TAG_HI] === hi &&', ''],
    [
      'the short way forgets the rights of the entries above that are cached',
      'above = isFirst ? pdes.rightsAt(slot) : structures.rights;',
      'above = 3;',
    ],
    [
      'the short way takes 1 GiB pages for tables',
      '(shift > 0 ? ordinaryUpper : ordinaryLeaf)',
      '(shift > 0 && shift < 18 ? ordinaryUpper : ordinaryLeaf)',
    ],
    ['the short way to a large page marks nothing', '!walker.wasMarked || ', ''],
    [
      'views answer for a large page that no TLB entry stands for',
      ' || !tlb.holds(walker.level)) return -1;',
      ') return -1;',
    ],
    [
      'a large page in the TLB needs no rights',
      'if (at < 0 || !this.registers.current.allows(tlb.rights, access)) return -1;',
      'if (at < 0) return -1;',
    ],
    [
      'the short way to a large page begins at its first frame',
      'translator.take(walker.pageFrame, walker.rights, walker.level, lo);',
      'translator.take(walker.pageFrame, walker.rights, 1, lo);',
    ],
    [
      'the short way to a large page forgets the rights above',
      'this.#walkToLarge(access, lo, hi, top, found, above)',
      'this.#walkToLarge(access, lo, hi, top, found, 3)',
    ],
    [
      'a large page over RAM and device is taken for RAM',
      ' && this.memory.isContiguous(translator.frame - within, LARGE_FRAMES)',
      '',
    ],
    [
      'A20 is lost in large pages',
      'if (large === undefined || translator.a20Masked) return;',
      'if (large === undefined) return;',
    ],
  ]),

  ...of('src/cpu/views.ts', [
    [
      'an evicted entry takes the view of another kind with it',
      'if (writes !== 0) this.writes.drop(lo, hi, writes);',
      'if (writes !== 0) this.reads.drop(lo, hi, writes);',
    ],
    [
      'a change of regime opens views that a fault has closed',
      'this.isOpen ? this.#regime : NO_REGIME',
      'this.#regime',
    ],
  ]),

  ...of('src/cpu/hit-path.ts', [
    [
      'a store hits where loads are allowed',
      'write32(lo: number, hi: number, value: number, stack = 0): number {\n    const at = (lo >>> 12) ^ this.writeKey;',
      'write32(lo: number, hi: number, value: number, stack = 0): number {\n    const at = (lo >>> 12) ^ this.readKey;',
    ],
    [
      'a fetch hits where loads are allowed',
      'fetch8(lo: number, hi: number): number {\n    const at = (lo >>> 12) ^ this.fetchKey;',
      'fetch8(lo: number, hi: number): number {\n    const at = (lo >>> 12) ^ this.readKey;',
    ],
    ['write64 stores the low half twice', 'scratch[1] = valueHi;', 'scratch[1] = valueLo;'],
  ]),

  ...of('src/mmu/physical-access.ts', [
    ['ROM can be written', 'if (memory.pages.has(page, PAGE_ROM)) return;', ''],
    ['ranges that are written do not become dirty', 'memory.noteWrite(page, frame, offset, count);', ''],
    ['unaligned quadwords store their low half twice', 'bytes[at + k] = (k < 4 ? lo : hi)', 'bytes[at + k] = lo'],
    [
      'the second page of a split load is the next frame',
      'this.load(offset + k < PAGE_SIZE ? frame : secondFrame,',
      'this.load(offset + k < PAGE_SIZE ? frame : frame + 1,',
    ],
    [
      'the second page of a split store is the next frame',
      'this.store(offset + k < PAGE_SIZE ? frame : secondFrame,',
      'this.store(offset + k < PAGE_SIZE ? frame : frame + 1,',
    ],
  ]),

  ...of('src/mmu/physical-atomic.ts', [
    [
      'compareExchange64 compares the low half alone',
      'if (old !== expectedLo || (size === 8 && oldHi !== expectedHi)) return old;',
      'if (old !== expectedLo) return old;',
    ],
    ['locked operations write to ROM', 'page < 0 || memory.pages.has(page, PAGE_ROM) ? -1', 'page < 0 ? -1'],
  ]),

  // From here on, mapping code and what CPUs tell one another.
  ...of('src/cpu/mailboxes.ts', [
    ['a parked CPU keeps what it should have dropped', 'Atomics.add(words, at(target, GENERATION), 1);', ''],
    [
      'a CPU that runs again drops nothing first',
      'Atomics.store(this.words, at(cpu, STATE), RUNNING);\n    this.serve(cpu);\n  }',
      'Atomics.store(this.words, at(cpu, STATE), RUNNING);\n  }',
    ],
    [
      'a flush is acknowledged before it is done',
      'handler(words[operand]!, words[operand + 1]!, words[operand + 2]!);\n    }',
      'Atomics.store(words, at(cpu, SERVED + sender), this.taken[sender]!);\n      handler(words[operand]!, words[operand + 1]!, words[operand + 2]!);\n    }',
    ],
    ['a flush is not acknowledged', 'Atomics.store(this.words, at(cpu, SERVED + sender), this.taken[sender]!);', ''],
    [
      'nobody waits for the acknowledgement of a running CPU',
      'if (this.stateOf(target) === RUNNING) return false;',
      '',
    ],
    [
      'an offline CPU is waited for',
      'if (this.stateOf(target) === RUNNING) return false;',
      'if (this.stateOf(target) !== PARKED) return false;',
    ],
    [
      'requests of two senders: the last one is forgotten',
      'Atomics.or(words, at(target, REQUESTS), 1 << sender);',
      'Atomics.store(words, at(target, REQUESTS), 1 << sender);',
    ],
  ]),

  ...of('src/cpu/bells.ts', [
    ['a CPU that sleeps serves nobody', 'this.serve(cpu);\n      if (condition()) break;', 'if (condition()) break;'],
  ]),

  ...of('src/hypervisor/map-request.ts', [
    [
      'a superpage at an address that is not aligned',
      'const bits = this.pageBits | this.#mfnBits;',
      'const bits = this.#mfnBits;',
    ],
    [
      'a superpage of frames that are not aligned',
      'const bits = this.pageBits | this.#mfnBits;',
      'const bits = this.pageBits;',
    ],
    ['a superpage past the end of the request', 'this.left < M2_PAGES || ', ''],
    ['a 1 GiB page past the end of the request', ' && this.left >= G1_PAGES ? 3', ' ? 3'],
    [
      'MAP_SMALL_PAGES gets superpages',
      '(this.flags & (PAGE_PAT | MAP_SMALL_PAGES)) !== 0) return 1;',
      '(this.flags & PAGE_PAT) !== 0) return 1;',
    ],
    [
      'WC gets superpages: its PAT bit is PS there',
      '(this.flags & (PAGE_PAT | MAP_SMALL_PAGES)) !== 0) return 1;',
      '(this.flags & MAP_SMALL_PAGES) !== 0) return 1;',
    ],
    [
      'frames that are not mapped need alignment',
      'this.#mfnBits = this.isMapping ? lowBits(mfn) : 0;',
      'this.#mfnBits = lowBits(mfn);',
    ],
    [
      'alignment is that of the first frame',
      'this.#mfnBits = (this.#mfnBits + (pages & this.#alignmentMoves)) | 0;',
      '',
    ],
    ['INVALID_MFN is incremented', 'this.mfn += pages & this.#mfnMoves;', 'this.mfn += pages;'],
    [
      'a request wraps at the end of the address space',
      'this.left = narrow(Math.min(nrMfns, END_OF_PAGES - page));',
      'this.left = nrMfns;',
    ],
    ['done pages are not counted', '    this.done += pages;\n', ''],
  ]),

  ...of('src/hypervisor/map-pages.ts', [
    ['who waits for a CPU waits for all that it maps', 'if (request.done > 0) mm.serveOthers();', ''],
    [
      'what is replaced is not flushed',
      'gather.stored(CHANGE, page, FLUSH_TLB | FLUSH_ORDER(orderOf(level)) | flushFlags(mm, traits));',
      '',
    ],
    [
      'one page is flushed where a superpage was replaced',
      'FLUSH_ORDER(orderOf(level)) | flushFlags',
      'FLUSH_ORDER(0) | flushFlags',
    ],
    [
      'the flush of a global page does not say so',
      'const global = (traits & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;',
      'const global = 0;',
    ],
    [
      'no cache is flushed where the memory type changes',
      'return global | FLUSH_CACHE_EVICT | (byAddress ? FLUSH_VA_VALID : 0);',
      'return global;',
    ],
    ['caches are flushed when pages are unmapped', 'if (!isMapping || (traits', 'if ((traits'],
    [
      'caches are flushed by any address',
      'const byAddress = page >= DIRECTMAP.start && page < HYPERVISOR_VIRT.end;',
      'const byAddress = page > 0;',
    ],
    [
      'a page is skipped whatever frame it maps',
      'return mapped === mfn && ((smallFlags',
      'return mapped >= 0 && ((smallFlags',
    ],
    [
      'a page inside a superpage is compared with its first frame',
      'pageFrame(mm, level, oldFrame) + (pageBits & (pagesOf(level) - 1));',
      'pageFrame(mm, level, oldFrame) + 0 * pageBits;',
    ],
    [
      'a page is skipped that is global and should not be',
      '^ flags) & ~(A | D)) === 0',
      '^ flags) & ~(A | D | G)) === 0',
    ],
    ['A and D alone split a superpage', '^ flags) & ~(A | D)) === 0', '^ flags) & -1) === 0'],
    [
      'a skip goes on past the superpage',
      'if (saysTheSame(mm, level, old, oldFrame)) {\n        request.advance(request.within(level));',
      'if (saysTheSame(mm, level, old, oldFrame)) {\n        request.advance(request.within(level + 1));',
    ],
    [
      'a hole is skipped with what lies behind it',
      'if (!addsTables(mm, flags)) {\n        request.advance(request.within(level));',
      'if (!addsTables(mm, flags)) {\n        request.advance(request.within(level + 1));',
    ],
    [
      'an empty L4 slot is skipped with the next one',
      'request.advance(request.within(4));',
      'request.advance(Math.min(request.left, 2 * request.within(4)));',
    ],
    [
      'unmapping a hole allocates',
      '(mm.choices & ALLOCATES_HOLES) !== 0 || (flags & (P | MAP_SMALL_PAGES)) !== 0;',
      'mm.choices >= 0 || (flags & (P | MAP_SMALL_PAGES)) !== 0;',
    ],
    [
      'unmapping frees the tables that a populate made',
      "return mm.behaviour.absentEntries === 'verbatim' || !mm.tables.isKept(oldFrame);",
      'return oldFrame >= 0;',
    ],
    ['populate does not mark its tables', 'if (isPopulate(flags)) tables.keep(tableOf(entry));', ''],
    ['tables below a superpage leak', '  gather.detach(table);\n  return traits;', '  return traits;'],
    [
      'tables below a superpage do not become stale',
      '  if (isFixed(mm, table)) locks.unlockChild();\n  else locks.retireChild();\n',
      '  locks.unlockChild();\n',
    ],
    [
      'the tables that a superpage replaces become stale after they were looked at',
      'if (isFixed(mm, table)) locks.unlockChild();',
      'if (isFixed(mm, table) || level === 1) locks.unlockChild();',
    ],
    [
      'an entry is changed under no lock',
      ' && !claim(mm, entry, oldFrame, old)) return 0;',
      ' && level > 3) return 0;',
    ],
    [
      'an unmapped entry keeps its frame and flags',
      "if (mm.behaviour.absentEntries === 'verbatim') tables.write(entry, level, mfn, flags);",
      'if (flags === 0 || flags !== 0) tables.write(entry, level, mfn, flags);',
    ],
    ['the L3 lock is not taken', '  locks.lockBelow(table);\n', ''],
    ['the L3 lock is not dropped', '  } finally {\n    locks.unlockBelow();\n  }', '  } finally {\n  }'],
    [
      'the L3 lock is dropped before the flush',
      '    gather.complete();\n    return error;\n  } finally {\n    locks.unlockBelow();\n  }',
      '    return error;\n  } finally {\n    locks.unlockBelow();\n    gather.complete();\n  }',
    ],
    [
      'a request that fails is not flushed',
      '    gather.complete();\n    return error;',
      '    if (error === 0) gather.complete();\n    return error;',
    ],
    ['the lock of one L3 table is held for the next one too', 'request.done < end);', 'request.left > 0);'],
    ['pagesDone is not told', 'mm.pagesDone = request.done;', ''],
    ['what was reserved and not used leaks', '  mm.heap.unreserve();\n', ''],
    [
      'a request that ends inside a table does not coalesce',
      '!request.isAtBoundary(above)) return;',
      '!request.isAtBoundary(above) || request.left === 0) return;',
    ],
    [
      'nothing coalesces to 1 GiB',
      'above <= 3; above++) {\n    if (!mm.hasPages',
      'above <= 2; above++) {\n    if (!mm.hasPages',
    ],
    [
      'superpages of 1 GiB are made where the processor has none',
      'if (!mm.hasPages(above) || !request',
      'if (!request',
    ],
    [
      'superpages of 1 GiB are written where the processor has none',
      'Math.min(mm.request.largest(), mm.topLevel);',
      'mm.request.largest();',
    ],
  ]),

  ...of('src/hypervisor/superpage.ts', [
    [
      'a split is not flushed',
      'if (flushes) gather.stored(RESIZE, page, FLUSH_TLB | global | FLUSH_ORDER(orderOf(level)));',
      '',
    ],
    [
      'a split is flushed as one page',
      'FLUSH_TLB | global | FLUSH_ORDER(orderOf(level)));',
      'FLUSH_TLB | global | FLUSH_ORDER(0));',
    ],
    [
      'the flush of a global superpage that is split does not say so',
      'const global = (flags & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;',
      'const global = 0;',
    ],
    [
      'a split does not look again whether the superpage is still there',
      'const lost = !isPresent(now) || (now & PS) === 0;',
      'const lost = now < 0;',
    ],
    [
      'a table that lost against another split leaks',
      'if (lost) heap.free(table, NEVER_PUBLISHED);\n  return true;',
      'return true;',
    ],
    [
      'a split links its table before it is full',
      '  if (!lost) tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);\n',
      '  if (!lost) tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);\n  tables.fill(table, first, pieceFlags, pagesOf(level - 1));\n',
    ],
    ['PAT is lost when 2 MiB are split', 'patOf(frame) !== 0 ? PAGE_PAT : 0;', 'patOf(frame) !== 0 ? 0 : 0;'],
    ['the PAT bit of a superpage is taken for an odd frame', '? frame - patOf(frame) : frame;', '? frame : frame;'],
    [
      'the pieces of 1 GiB are 4 KiB apart',
      'tables.fill(table, first, pieceFlags, pagesOf(level - 1));',
      'tables.fill(table, first, pieceFlags, 1);',
    ],
    [
      'a split lets go of map_pgdir_lock too late',
      '  locks.unlockPgdir();\n  if (!lost) mm.splits += 1;',
      '  if (!lost) mm.splits += 1;',
    ],
    ['a coalesce is not flushed', 'gather.stored(RESIZE, page, FLUSH_TLB_GLOBAL | FLUSH_ORDER(orderOf(level)));', ''],
    [
      'the flush of a coalesce spares global pages',
      'gather.stored(RESIZE, page, FLUSH_TLB_GLOBAL | FLUSH_ORDER(orderOf(level)));',
      'gather.stored(RESIZE, page, FLUSH_TLB | FLUSH_ORDER(orderOf(level)));',
    ],
    ['the table of a coalesce leaks', '  mm.coalesces += 1;\n  gather.detach(table);\n', '  mm.coalesces += 1;\n'],
    [
      'PAT is lost when pages coalesce to 2 MiB',
      'return base < 0 ? base : base + pat;',
      'return base < 0 ? base : base + 0 * pat;',
    ],
    [
      'pages coalesce without another look at the entry',
      'if (!isPresent(now) || (now & PS) !== 0 || isFixed',
      'if (isFixed',
    ],
    ['static and pinned tables coalesce', '|| isFixed(mm, table) ||', '||'],
    ['a table is not locked while it coalesces', ' || !locks.lockChild(table)) return -1;', ') return -1;'],
    [
      'a coalesce looks for a run before it has the lock',
      '  locks.lockPgdir();\n  const base = runBelow(mm, entry, level, flags);',
      '  const base = runBelow(mm, entry, level, flags);\n  locks.lockPgdir();',
    ],
    [
      'map_pgdir_lock is held over the flush of a change',
      '  gather.before(RESIZE); // `map_pgdir_lock` is not held over a flush\n',
      '  locks.lockPgdir();\n  gather.before(RESIZE);\n  locks.unlockPgdir();\n',
    ],
  ]),

  ...of('src/hypervisor/entry-words.ts', [
    [
      'a run is written over pages that are mapped',
      'while (free < count && (words[2 * (quad + free)]! & P) === 0) free += 1;',
      'free = count;',
    ],
    [
      'frames of a run past 4 GiB lose their upper bits',
      'lo = (lo + 4096) | 0;\n      if (wasHigh && lo >= 0) hi = (hi + 1) | 0; // past 4 GiB',
      'lo = (lo + 4096) | 0;',
    ],
    [
      'pages coalesce whose first frame is not aligned',
      'if ((level === 1 ? base : base - (base % 2)) % (step * ENTRIES) !== 0) return -1;',
      '',
    ],
    [
      'a scan for zeros ends in the middle',
      'at < 2 * quad + WORDS; at++) if (words[at] !== 0)',
      'at < 2 * quad + ENTRIES; at++) if (words[at] !== 0)',
    ],
    ['the use of a freed table is not noticed', '|| (this.#info[infoOf(quad) + COUNT_HI]! & PGC_STATE_HI) !== 0)', ')'],
    [
      'writes to tables are kept from whoever tracks them',
      'if (this.memory.pages.bytes[page] !== PAGE_DIRTY) this.#tell(entry, quad, count);',
      '',
    ],
    ['what is stored is read with the frame of before', '    this.#frameHigh = ((hi << 12) >>> 12) * 0x10_0000;\n', ''],
  ]),

  ...of('src/hypervisor/tables.ts', [
    [
      'a table is empty with one page in it',
      'this.counters.present(quad, level) === 0;',
      'this.counters.present(quad, level) <= 1;',
    ],
    ['a linked table counts as one that never was', 'this.frames.mark(table, MARK_PUBLISHED);', ''],
    [
      'counters do not learn of a link',
      'if (this.counters !== undefined && level < 3) this.counters.replace(quad, level, lo, hi);\n    this.publishWord',
      'this.publishWord',
    ],
  ]),

  ...of('src/hypervisor/table-loops.ts', [
    [
      'pieces of a superpage that go past 4 GiB wrap',
      'if ((firstLo >>> 0) + 511 * add >= 2 ** 32) {',
      'if ((firstLo >>> 0) + 511 * add > 2 ** 33) {',
    ],
    [
      'every fourth piece of a superpage is a frame further',
      'words[at + 6] = (lo + 3 * add) | 0;',
      'words[at + 6] = (lo + 4 * add) | 0;',
    ],
    [
      'pages coalesce whose upper halves differ',
      'if (words[at] !== lo || words[at + 1] !== hi) return false;',
      'if (words[at] !== lo) return false;',
    ],
    [
      'pages coalesce whose A or D differ, where counters say that they are a run',
      'if (!isOn) return false;',
      'void isOn;',
    ],
    [
      'pages coalesce whatever their frames are',
      'if (words[at] !== lo || words[at + 1] !== hi) return false;',
      'if (((words[at]! ^ lo) & 0xfff) !== 0 || words[at + 1] !== hi) return false;',
    ],
  ]),

  ...of('src/hypervisor/table-counters.ts', [
    [
      'links to the entry below are added and never taken away',
      'links = link(belowLo, belowHi, lo, hi, level) - link(belowLo, belowHi, oldLo, oldHi, level);',
      'links = link(belowLo, belowHi, lo, hi, level);',
    ],
    [
      'links to the entry above are not counted',
      'links += link(lo, hi, aboveLo, aboveHi, level) - link(oldLo, oldHi, aboveLo, aboveHi, level);',
      '',
    ],
    [
      'entries count as present once more',
      'info[about + PRESENT]! += (lo & P) - (oldLo & P);',
      'info[about + PRESENT]! += lo & P;',
    ],
    [
      'entries that go are not counted',
      'info[about + PRESENT]! += (lo & P) - (oldLo & P);',
      'info[about + PRESENT]! -= oldLo & P;',
    ],
    [
      'a run does not join what is above it',
      'info[about + LINKS]! += count - 1 + below + above;',
      'info[about + LINKS]! += count - 1 + below;',
    ],
    ['a run counts a page too few', 'info[about + PRESENT]! += count;', 'info[about + PRESENT]! += count - 1;'],
    [
      'a table that was filled has the counters of an empty one',
      'this.#info[about + LINKS] = isRun ? ENTRIES - 1 : 0;',
      'this.#info[about + LINKS] = 0;',
    ],
    [
      'A and D, which hardware sets, break a run',
      '(((nextLo & ~(A | D)) - (lo & ~(A | D))) | 0) !== add',
      '((nextLo - lo) | 0) !== add',
    ],
    ['an adopted table is not counted first', '    info[about + PRESENT] = present;\n', ''],
  ]),

  ...of('src/hypervisor/virt-to-xen.ts', [
    [
      'a table is linked over one that another CPU linked meanwhile',
      'const lost = isPresent(tables.read(entry));',
      'const lost = tables.read(entry) < 0;',
    ],
    ['a table that lost the race leaks', 'if (lost) heap.free(table, NEVER_PUBLISHED);', ''],
    ['a new table is linked as it is', '  tables.fill(table, 0, 0, 0);\n', ''],
    ['tables are linked without map_pgdir_lock', '  locks.lockPgdir();\n  const lost', '  const lost'],
    [
      'map_pgdir_lock stays locked after a table was linked',
      '  locks.unlockPgdir();\n  if (lost) heap',
      '  if (lost) heap',
    ],
    [
      'map_pgdir_lock is taken before the allocation',
      '  const table = mm.newTable();\n',
      '  locks.lockPgdir();\n  const table = mm.newTable();\n  locks.unlockPgdir();\n',
    ],
    [
      'other roots do not hear of a new L4 entry',
      'if (level === 4) mm.onL4Entry?.(entry % ENTRIES, table, PAGE_HYPERVISOR_TABLE);',
      '',
    ],
    ['a superpage in the way is taken for a table', 'if (level < 4 && (flags & PS) !== 0)', 'if (level > 4)'],
    ['a lookup in an empty L4 slot adds a table', "if (missing === 'skip') return HOLE;", ''],
  ]),

  ...of('src/hypervisor/modify-mappings.ts', [
    ['who waits for a CPU waits for all that it modifies', 'mm.serveOthers();', ''],
    [
      'what is modified is not flushed',
      'if (!gather.joins(CHANGE, flush)) gather.leaveOpen(CHANGE, mm.reached, flush);',
      '',
    ],
    [
      'the last flush of modify is left out',
      'if (isOneStep && error === 0 && mm.reached >= end) flush.all(0, FLUSH_TLB_GLOBAL);',
      '',
    ],
    [
      'a modify of nothing is not flushed',
      'const isOwed = error === 0 ? !isFlushed : behaviour',
      'const isOwed = error === 0 ? false : behaviour',
    ],
    ['a modify that ends in a hole is not flushed', 'isFlushed = page >= end;', 'isFlushed = true;'],
    [
      'a modify that fails is not flushed',
      '    gather.complete();\n    if (isOneStep',
      '    if (error === 0) gather.complete();\n    if (isOneStep',
    ],
    ['modify clears all other attributes', 'const now = (old & ~MODIFY_MASK) | nf;', 'const now = (old & 0x80) | nf;'],
    ['modify adds rights and takes none', 'const now = (old & ~MODIFY_MASK) | nf;', 'const now = old | nf;'],
    ['modify maps frame 0 where nothing is', "if (!isPresent(old) && behaviour.absentEntries === 'zero') return;", ''],
    [
      'what is unmapped keeps its frame',
      'else tables.write(entry, level, 0, 0);',
      'else tables.write(entry, level, frame, 0);',
    ],
    [
      'modify takes a superpage of which it has the end alone',
      'isAtStart(lowBits(page), level) && end - page >= pagesOf(level);',
      'end - page >= pagesOf(level);',
    ],
    [
      'modify takes a superpage of which it has the beginning alone',
      'isAtStart(lowBits(page), level) && end - page >= pagesOf(level);',
      'isAtStart(lowBits(page), level);',
    ],
    [
      'a split by modify is not flushed before the change',
      "const flushes = behaviour.modifySplit === 'flushed';",
      'const flushes = false;',
    ],
    [
      'modify says that all was done',
      'mm.pagesDone = Math.max(0, Math.min(page, end) - first);',
      'mm.pagesDone = Math.max(0, end - first);',
    ],
    [
      'modify goes on past the L3 table that it has locked',
      'const limit = Math.min(end, nextBoundary(first, 4));',
      'const limit = end;',
    ],
    [
      'modify changes an entry under no lock',
      ' && !claim(mm, entry, frame, old)) return 0;',
      ' && level > 3) return 0;',
    ],
    ['a table is not locked while it is found empty', ' && locks.lockChild(table);', ';'],
    ['modify does not take the L3 lock', '  locks.lockBelow(table);\n', ''],
    ['modify does not drop the L3 lock', '  } finally {\n    locks.unlockBelow();\n  }', '  } finally {\n  }'],
    [
      'tables are freed that are not empty',
      ' && tables.isEmpty(table, above - 1);',
      ' && tables.isEmpty(table, above - 1) !== undefined;',
    ],
    [
      'an empty table is removed without another look at its entry',
      'isPresent(now) && !isLeaf(above, now) && isRemovable',
      'isRemovable',
    ],
    ['an empty table is freed without a flush of its own', 'gather.stored(CHANGE, 0, FLUSH_TLB_GLOBAL);', ''],
    ['an empty table leaks', '    gather.detach(table);\n', ''],
    ['an empty table is removed without map_pgdir_lock', '    locks.lockPgdir();\n', ''],
    [
      'an empty L2 that the range ends in stays',
      "const isDone = behaviour.emptyL2 === 'free' ? page >= end : page === end;",
      'const isDone = page === end;',
    ],
    ['destroy frees the tables that a populate made', '|| !mm.tables.isKept(table));', '|| table >= 0);'],
    ['destroy frees static and pinned tables', '!isFixed(mm, table) && (mm', '(mm'],
  ]),

  ...of('src/hypervisor/reserve.ts', [
    ['a table is reserved for each page', 'if (counted[level] !== number) needed += 1;', 'needed += 1;'],
    [
      'no tables are reserved below level 3',
      'if (counted[level] !== number) needed += 1;',
      'if (counted[level] !== number && level > 2) needed += 1;',
    ],
  ]),

  ...of('src/hypervisor/proof.ts', [
    [
      'the number that stands for no flush is given to one',
      'return number === NEVER_PUBLISHED ? nextNumber(control, atomics) : number;',
      'return number;',
    ],
  ]),

  ...of('src/hypervisor/claim.ts', [
    ['an entry is changed whatever it became', ' && tables.read(entry) === flags && tables.frame === frame;', ';'],
    [
      'the lock of a table is dropped before the flush of what changed there',
      '  gather.complete(); // nobody may map here again while an old translation is left\n',
      '',
    ],
  ]),

  ...of('src/hypervisor/grace.ts', [
    ['nobody is waited for before a table is freed', 'if (isBefore && cpu !== this.#cpu &&', 'if (cpu < 0 &&'],
    [
      'a CPU that is inside an operation looks as if it were not',
      'Atomics.store(this.#control, ofCpu(this.#cpu, INSIDE), last === 0 ? -1 : last);',
      '',
    ],
    ['a CPU stays inside its operation', '    Atomics.store(this.#control, ofCpu(this.#cpu, INSIDE), 0);\n', ''],
    [
      'a CPU that is parked is waited for',
      ' && this.#mailboxes.stateOf(cpu) === RUNNING) return false;',
      ') return false;',
    ],
    ['an operation that began since is waited for', 'entered !== 0 && ((entered - number) | 0) < 0;', 'entered !== 0;'],
    [
      'whoever dies inside an operation is waited for when his CPU runs again',
      'Atomics.store(control, ofCpu(cpu, INSIDE), 0);',
      '',
    ],
  ]),

  ...of('src/hypervisor/gather.ts', [
    [
      'a table is freed while it may be read without a lock',
      'if (this.#locks.isPerTable) this.#retired.push(this.#detached[nth]!);\n      else this',
      'this',
    ],
    ['a change and a resize are flushed together', 'if ((this.#open & ~kind) !== 0) this.complete();', ''],
    [
      'a flush of several pages has the order of one',
      'this.#note(kind, (this.#flags | flags) & ~FLUSH_ORDER_MASK);',
      'this.#note(kind, this.#flags | (flags & ~FLUSH_ORDER_MASK));',
    ],
    [
      'tables are freed without the flush',
      'const proof = this.#flush.all(this.#page, this.#flags);',
      "const proof = Atomics.load(this.#control, SHOOTDOWNS) as ReturnType<Flush['all']>;",
    ],
    ['a table is freed again by the next flush', '    this.#count -= covered;\n', ''],
    [
      'a flush frees a table whose unlinking it does not cover',
      'const covered = this.#covered;',
      'const covered = this.#count;',
    ],
    ['the last table is not freed', 'nth < covered; nth++', 'nth < covered - 1; nth++'],
    [
      'what was flushed is flushed again',
      '  #completeOpen(): void {\n    this.#open = 0;\n',
      '  #completeOpen(): void {\n',
    ],
    ['a cache flush is merged with others', '    if (isCache) this.complete();\n', ''],
    ['a table has no time of its detachment', ' = this.#atomics.load(this.#control, SHOOTDOWNS);', ' = 0;'],
  ]),

  ...of('src/hypervisor/flush.ts', [
    [
      'other CPUs are not flushed',
      'const others = mask & this.#mailboxes.onlineMask & ~self;',
      'const others = mask & 0 & ~self;',
    ],
    ['this CPU is not flushed', '(mask & self) !== 0 ? this.local(page, flags) : flags;', 'flags;'],
    ['a flush of everything drops one page', 'if (order === 0) this.#page(', 'if (order <= 0) this.#page('],
    ['a flush of a superpage drops one page', 'if (order === 0) this.#page(', 'if (order >= 0) this.#page('],
    ['a page stays cached under other PCIDs', 'pcid < XEN_PCIDS; pcid++', 'pcid < 1; pcid++'],
    ['a flush of one page drops everything', 'if (order === 0) this.#page(', 'if (order === -2) this.#page('],
    [
      'other CPUs drop another page',
      'others, (page * 4096) | 0, pageHi(page), flags',
      'others, (page * 4096) | 0, 0, flags',
    ],
    [
      'a full flush keeps what is cached of the tables',
      'this.#cpu.translator.dropAll();',
      'this.#cpu.translator.tlb.flushAll();',
    ],
    [
      'a hypervisor below is asked in spite of NO_ASSIST',
      '(remote & ~(TLB_FLAGS | FLUSH_ORDER_MASK | FLUSH_VA_VALID)) === 0;',
      'remote !== 0;',
    ],
    ['others are flushed with interrupts off', 'if (others !== 0 && !this.#locks.irqsOn) bug(', 'if (false) bug('],
    [
      'areas as large as the cache are flushed by address',
      '4096 * 2 ** order < this.#cacheBytes',
      '4096 * 2 ** order <= this.#cacheBytes',
    ],
    [
      'other CPUs flush their caches for an area that was flushed by address',
      'return isArea ? flags & ~CACHE_FLAGS : flags;',
      'return flags;',
    ],
    ['a full flush does not tick the clock', 'const time = this.clock.beforeFlush();', 'const time = this.clock.now;'],
    [
      'a filtered flush goes to everybody',
      'const mask = this.stale(this.#mailboxes.onlineMask, stamp);',
      'const mask = this.#mailboxes.onlineMask;',
    ],
    ['the clock does not start again', '    this.clock.restart();\n', ''],
  ]),

  ...of('src/hypervisor/tlb-clock.ts', [
    ['nobody hears that the clock has wrapped', 'if (next === 0) this.hasWrapped = true;', ''],
    ['after a wrap nobody needs a flush', '!this.isRunning || now === 0 ||', '!this.isRunning ||'],
    [
      'a CPU flushed at the time of the stamp needs no flush',
      '(time <= stamp && stamp <= now)',
      '(time < stamp && stamp <= now)',
    ],
    ['a stamp from before a wrap needs no flush', '(time <= stamp && stamp <= now)', '(time <= stamp && stamp < now)'],
    ['time goes on while the clock stands still', 'if (now === 0) return 0; // wrapped: time stands still', ''],
    ['with assisted flushes stamps count', '!this.isRunning || now === 0 ||', 'now === 0 ||'],
  ]),

  ...of('src/hypervisor/heap.ts', [
    [
      'a frame of a pool is given out twice',
      'if (head !== 0) control[ofCpu(cpu, POOL)] = this.#frames.words[(head - 1) * INFO_WORDS + NEXT]!;',
      '',
    ],
    ['a freed frame does not count as free', '    words[at + COUNT_HI] = PGC_FREE_HI;\n', ''],
    ['a double free is not noticed', 'if ((count & PGC_STATE_HI) !== 0) bug(', 'if (false) bug('],
    [
      'the free of a locked table is not noticed',
      'if ((this.#atomics.load(words, at + TYPE_HI) & PGT_LOCKED_HI) !== 0)',
      'if (false)',
    ],
    ['a linked table is freed as one that never was', 'if (proof === NEVER_PUBLISHED && wasPublished)', 'if (false)'],
    [
      'a table is freed by a flush from before it was detached',
      'if (proof !== NEVER_PUBLISHED && isStale)',
      'if (false)',
    ],
    ['static tables go to the heap', '(marks & MARK_STATIC) !== 0 || (words', '(words'],
    ['pinned tables go to the heap', ' || (words[at + TYPE_HI]! & PGT_PINNED_HI) !== 0;', ';'],
    ['freed frames keep what they held', 'if (this.#poisons) this.#words(page).fill(POISON);', ''],
    ['writes to freed frames are not noticed', 'if (written >= 0)', 'if (written >= 512)'],
    ['the pool of a CPU is lost for others', 'cpu < this.#mailboxes.count; cpu++', 'cpu < 1; cpu++'],
    ['frames that could not all be reserved leak', '    this.unreserve();\n    return false;', '    return false;'],
  ]),

  ...of('src/hypervisor/locks.ts', [
    ['a table that nothing links is not marked stale', 'this.release(table, PGT_STALE_HI);', 'this.release(table);'],
    [
      'a stale table is locked like others',
      'const isStale = this.isPerTable && this.isStale(what);',
      'const isStale = false;',
    ],
    ['a CPU waits for itself', 'if (this.#outer === what) bug(', 'if (false) bug('],
    ['two L3 locks are held at once', 'if (this.isHolding === true) this.', 'if (this.#outer === what) this.'],
    [
      'a lock is taken that another CPU holds',
      'if ((type & (PGT_LOCKED_HI | PGT_STALE_HI)) !== 0) return (type & PGT_LOCKED_HI) === 0;',
      'if ((type & PGT_STALE_HI) !== 0) return true;',
    ],
    ['locks are taken with interrupts off', 'if (this.irqsOn !== true) this.#checkIrqs(what);', ''],
    ['the holder of a lock stays written down', 'words[at + HOLDER] = 0;', ''],
    [
      'map_pgdir_lock is taken from whoever holds it',
      'this.#exchange(this.#control, PGDIR_LOCK, 0, this.#cpu + 1);',
      'this.#exchange(this.#control, PGDIR_LOCK, this.#control[PGDIR_LOCK]!, this.#cpu + 1);',
    ],
  ]),

  ...of('src/hypervisor/mm.ts', [
    [
      'a request runs out of tables that only wait for their grace period',
      'const hasFreed = this.gather.retire();',
      'const hasFreed = false;',
    ],
    [
      'locks are taken in the state boot',
      'this.systemState > SYS_STATE_BOOT);',
      'this.systemState >= SYS_STATE_BOOT);',
    ],
    ['an operation begins inside another one', 'if (this.locks.isHolding === true) refuse', 'if (false) refuse'],
    ['others are served with interrupts off', ' && this.locks.irqsOn) mailboxes', ') mailboxes'],
    ['who observes cannot decide when others are served', ' && this.observer === null && this', ' && this'],
  ]),

  ...of('src/hypervisor/xen-map-to-mfn.ts', [
    ['all pages of a superpage are its first one', ' + (page % pagesOf(level));', ';'],
    ['a lookup takes no lock', '  locks.lockBelow(Math.floor(pl3e / ENTRIES));\n', ''],
    ['a lookup keeps the lock', '    locks.unlockBelow();\n', ''],
  ]),

  ...of('src/hypervisor/modify-lite.ts', [
    [
      'the lite modify stops before the page that holds the last byte',
      'pageOf(e) + (isPageAligned(e) ? 0 : 1);',
      'pageOf(e);',
    ],
    [
      'the lite modify goes from a table into the next superpage in steps of 4 KiB',
      'page += pagesOf(level);',
      'page += 1;',
    ],
    ['the lite modify clears all other attributes', '(old & ~MODIFY_MASK) | flags);', '(old & 0x80) | flags);'],
  ]),

  ...of('src/hypervisor/strict.ts', [
    [
      'strict mode allows code that can be written',
      '(flags & RW) !== 0 && (flags & NX) === 0 &&',
      '(flags & RW) !== 0 && (flags & NX) === 1 &&',
    ],
    [
      'strict mode lets ranges run into the hole',
      'page + count <= CANONICAL_LOW_END ||',
      'page < CANONICAL_LOW_END ||',
    ],
    [
      'strict mode maps frames that the processor cannot address',
      'mfn + nrMfns > 2 ** (mm.options.maxPhyAddr - 12)',
      'mfn + nrMfns > 2 ** 52',
    ],
    ['strict mode looks at the first page alone', 'at += pages;', 'return false;'],
  ]),

  ...of('src/hypervisor/vmap-area.ts', [
    ['areas have no guard page before them', 'const used = this.#next(first - 1,', 'const used = this.#next(first,'],
    ['areas touch those behind them', 'if (used > end || used', 'if (used >= end || used'],
    ['an area is given back twice', '&= ~(1 << (first & 31));', '&= -1;'],
  ]),

  ...of('src/hypervisor/mapcache.ts', [
    [
      'collecting garbage flushes nothing',
      '    mm.flush.local(0, FLUSH_TLB);\n    words[vcpu + SEEN]',
      '    words[vcpu + SEEN]',
    ],
    ['another vCPU does not see the new epoch', 'if (words[vcpu + SEEN] === words[EPOCH]) return;', 'return;'],
    [
      'a slot is forgotten while somebody uses it',
      'if (slot === NO_SLOT || !this.#isIdle(slot)) continue;',
      'if (slot === NO_SLOT) continue;',
    ],
  ]),

  ...of('src/hypervisor/xen.ts', [
    [
      'tables below adopted ones are not adopted',
      'adoptTables(frames, frameOf(lo, hi), level - 1, entered);',
      'if (level > 3) adoptTables(frames, frameOf(lo, hi), level - 1, entered);',
    ],
  ]),
];
