/**
 * Cases for the whole translation: every mode, each bit of each entry, each regime, warm and cold caches. A case is plain
 * data made from its number, so that a failing one can be named and replayed.
 *
 * Enumerated by a counter (all combinations come up): mode, page size, which entry is changed how, kind of access, CPL,
 * WP/SMEP/SMAP, NXE. The rest is drawn at random from the number.
 */
import { Chooser } from './digits.ts';
import type { Access, CpuModel, Kind, Mode, State } from './driver.ts';
import { buildTables, chooseSpoiler, levelsOf, type Tables, type Write } from './layout.ts';

export type Step =
  | ({ readonly do: 'access' } & Access)
  | ({ readonly do: 'write' } & Write)
  | { readonly do: 'cr0' | 'cr3' | 'cr4'; readonly value: bigint }
  | { readonly do: 'pkru' | 'pkrs'; readonly rights: number }
  | { readonly do: 'invlpg'; readonly va: bigint }
  | { readonly do: 'invpcid'; readonly type: number; readonly pcid: bigint; readonly va: bigint };

export interface Case {
  readonly id: number;
  readonly class: string;
  readonly model: CpuModel;
  readonly state: State;
  /** Entries in memory before the state is entered. */
  readonly writes: readonly Write[];
  readonly steps: readonly Step[];
}

const bit = (n: number): bigint => 1n << BigInt(n);
const KINDS: readonly Kind[] = ['read', 'write', 'rmw', 'fetch', 'implicit-read', 'implicit-write'];
const MODES: readonly Mode[] = ['4-level', '5-level', 'pae', '32-bit'];
/** How often each class comes up, in 20. */
const CLASSES = [
  ...Array<string>(9).fill('single'),
  ...Array<string>(4).fill('warm'),
  ...Array<string>(2).fill('split'),
  ...Array<string>(2).fill('pcid'),
  'self-map',
  'edge',
  'no paging',
];

/** A step that is coprime to all radixes, so that neighbours differ in every digit. */
const STRIDE = 7_368_787;

export function caseById(seed: number, id: number): Case {
  const name = CLASSES[id % CLASSES.length]!;
  const nth = Math.floor(id / CLASSES.length) * 9 + (id % 9);
  const choose = new Chooser(seed, id, (nth * STRIDE) % Number.MAX_SAFE_INTEGER);
  const mode = name === 'pcid' ? '4-level' : name === 'no paging' ? 'none' : choose.each(MODES);
  const model = chooseModel(choose, mode);
  const context: Context = { id, choose, mode, model, state: chooseState(choose, mode, model) };
  return { ...BUILDERS[name]!(context), class: `${mode} ${name}` };
}

interface Context {
  readonly id: number;
  readonly choose: Chooser;
  readonly mode: Mode;
  readonly model: CpuModel;
  readonly state: State;
}

type Built = Omit<Case, 'class'>;

function chooseModel(choose: Chooser, mode: Mode): CpuModel {
  return {
    vendor: choose.oneIn(3) ? 'amd' : 'intel',
    maxPhyAddr: choose.any([32, 36, 40, 46, 52]),
    pse: true,
    pse36: !choose.oneIn(3),
    nx: true,
    page1gb: !choose.oneIn(3),
    la57: mode === '5-level' || choose.oneIn(2),
  };
}

function chooseState(choose: Chooser, mode: Mode, model: CpuModel): State {
  const rights = (): number => (choose.oneIn(2) ? 0 : Number(choose.bits(32)));
  const [wp, smep, smap] = [choose.each([1, 0]), choose.each([0, 1]), choose.each([0, 1])];
  const nxe = choose.each([1, 1, 0]);
  const isLong = mode === '4-level' || mode === '5-level';
  let cr4 = smep === 1 ? bit(20) : 0n;
  if (smap === 1) cr4 |= bit(21);
  if (mode === 'pae' || isLong) cr4 |= bit(5);
  if (mode === '5-level') cr4 |= bit(12);
  if (choose.oneIn(2)) cr4 |= bit(22);
  if (choose.oneIn(2) && model.vendor === 'intel') cr4 |= bit(24);
  if (choose.oneIn(2)) cr4 |= bit(7);
  if (!choose.oneIn(4)) cr4 |= bit(4);
  let cr0 = mode === 'none' ? 0x11n : 0x8000_0011n;
  if (wp === 1) cr0 |= bit(16);
  if (choose.oneIn(8)) cr0 |= bit(18);
  const efer = (isLong ? bit(8) | bit(10) : 0n) | (nxe === 1 ? bit(11) : 0n);
  return { cr0, cr3: 0n, cr4, efer, pkru: rights(), pkrs: rights() };
}

const widthOf = (mode: Mode): number => ({ none: 32, '32-bit': 32, pae: 32, '4-level': 48, '5-level': 57 })[mode];

/** A canonical address with room to the end of its page. */
function chooseAddress({ choose, mode }: Context): bigint {
  const address = (choose.bits(64) & ~0xfffn) | BigInt(choose.below(0xff8));
  return mode === '4-level' || mode === '5-level'
    ? BigInt.asUintN(64, BigInt.asIntN(widthOf(mode), address))
    : BigInt.asUintN(32, address);
}

function accessTo({ choose }: Context, va: bigint, kind: Kind = choose.any(KINDS)): Step {
  const size = choose.any([1, 2, 4, 4, 8]);
  const aligned = choose.oneIn(4) ? va : va & ~BigInt(size - 1);
  const cpl = choose.oneIn(2) ? 3 : 0;
  const ac = choose.oneIn(3) ? 1 : 0;
  const implicit = kind.startsWith('implicit') || kind === 'fetch';
  return {
    do: 'access',
    va: aligned,
    kind,
    size,
    cpl,
    ac,
    stack: !implicit && choose.oneIn(5),
    value: choose.bits(64),
  };
}

/** Levels at which a leaf can be in this mode; a 1 GiB one also where the processor has none. */
function leafLevel({ choose, mode }: Context): number {
  return choose.each(levelsOf(mode) >= 4 ? [1, 2, 3] : [1, 2]);
}

function tablesFor(context: Context, va: bigint, which = 0): Tables {
  const { choose, mode, model } = context;
  const leaf = leafLevel(context);
  const spoilers = [chooseSpoiler(choose, levelsOf(mode))];
  if (choose.oneIn(5)) spoilers.push(chooseSpoiler(new Chooser(1, context.id, choose.below(1 << 30)), levelsOf(mode)));
  return buildTables(choose, mode, model, va, leaf, spoilers, which);
}

const built = (context: Context, root: bigint, writes: readonly Write[], steps: readonly Step[]): Built => ({
  id: context.id,
  model: context.model,
  state: { ...context.state, cr3: root },
  writes,
  steps,
});

const BUILDERS: Readonly<Record<string, (context: Context) => Built>> = {
  single(context) {
    const va = chooseAddress(context);
    const { root, writes } = tablesFor(context, va);
    return built(context, root, writes, [accessTo(context, va, context.choose.each(KINDS))]);
  },

  /** Accesses one after another: repeats, changes with an invalidation that suffices, changes that need none. */
  warm(context) {
    const { choose, state } = context;
    const va = chooseAddress(context);
    const tables = tablesFor(context, va);
    const steps: Step[] = [accessTo(context, va, choose.each(KINDS))];
    for (let round = choose.below(3); round >= 0; round--) {
      const change = choose.any(['entry', 'entry', 'regime', 'none']);
      if (change === 'entry') steps.push(...changeAndInvalidate(context, va, tables));
      if (change === 'regime') steps.push(...changeRegime(choose, state));
      steps.push(accessTo(context, va), accessTo(context, va ^ 0x100n));
    }
    return built(context, tables.root, tables.writes, steps);
  },

  /** Across a page boundary: two pages with tables of their own. */
  split(context) {
    const { choose, mode, model } = context;
    const page = chooseAddress(context) & ~0xfffn;
    const next = BigInt.asUintN(levelsOf(mode) >= 4 ? 64 : 32, page + 0x1000n);
    const first = tablesFor(context, page);
    const leaf = chooseSpoiler(new Chooser(2, context.id, choose.below(1 << 30)), 1);
    const second = buildTables(choose, mode, model, next, 1, [leaf], 0);
    const size = choose.any([2, 4, 8]);
    const va = page + 4096n - BigInt(1 + choose.below(size - 1));
    const access = { ...accessTo(context, va, choose.each(KINDS.slice(0, 4))), va, size } as Step;
    const writes = [
      ...first.writes,
      ...second.writes.filter(({ pa }) => !first.writes.some((write) => write.pa === pa)),
    ];
    return built(context, first.root, writes, [access, access]);
  },

  /** Two address spaces with PCIDs. */
  pcid(context) {
    const { choose } = context;
    const va = chooseAddress(context);
    const roots = [tablesFor(context, va, 0), tablesFor(context, va, 1)] as const;
    const pcids = [1n, 5n];
    const state = { ...context.state, cr4: context.state.cr4 | bit(17) };
    const cr3 = (which: number): bigint => roots[which]!.root | pcids[which]!;
    const steps: Step[] = [accessTo(context, va)];
    let current = 0;
    for (let round = 0; round < 3; round++) {
      const other = 1 - current;
      const target = roots[other]!;
      if (choose.oneIn(2)) {
        // The other space's leaf changes; its PCID is then flushed by the switch, or everything before it.
        const { pa, bytes, value } = choose.any(target.writes);
        steps.push({ do: 'write', pa, bytes, value: value ^ choose.any([1n, 2n, 4n, bit(63)]) });
        if (choose.oneIn(2))
          steps.push({ do: 'invpcid', type: 2, pcid: 0n, va: 0n }, { do: 'cr3', value: cr3(other) | bit(63) });
        else steps.push({ do: 'cr3', value: cr3(other) });
        // Global translations outlive both kinds of switch.
        steps.push({ do: 'invlpg', va });
      } else {
        steps.push(
          { do: 'invlpg', va },
          { do: 'cr3', value: cr3(other) | (choose.oneIn(2) ? bit(63) : 0n) },
          { do: 'invlpg', va },
        );
      }
      current = other;
      steps.push(accessTo(context, va), accessTo(context, va));
    }
    return {
      ...built(context, cr3(0), [...roots[0].writes, ...roots[1].writes], steps),
      state: { ...state, cr3: cr3(0) },
    };
  },

  /** An entry used at several levels: the root maps itself. */
  'self-map'(context) {
    const { choose, mode, model } = context;
    const va = chooseAddress(context);
    const tables = buildTables(choose, mode, model, va, 1, []);
    if (mode === 'pae') return built(context, tables.root, tables.writes, [accessTo(context, va)]);
    const indexBits = mode === '32-bit' ? 10 : 9;
    const bytes = mode === '32-bit' ? 4n : 8n;
    const index = BigInt(choose.below(1 << indexBits));
    const depth = choose.below(levelsOf(mode)) + 1;
    let address = va;
    for (let level = levelsOf(mode); level > levelsOf(mode) - depth; level--) {
      const shift = BigInt(12 + indexBits * (level - 1));
      address = (address & ~((bit(indexBits) - 1n) << shift)) | (index << shift);
    }
    const self: Write = {
      pa: tables.root + index * bytes,
      value: tables.root | 0x7n | (choose.oneIn(2) ? bit(5) : 0n),
      bytes: Number(bytes) as 4 | 8,
    };
    const width = widthOf(mode);
    const through = width === 32 ? address : BigInt.asUintN(64, BigInt.asIntN(width, address));
    // Never onto the entries that lead there: what a write leaves would be the next walk's business.
    const kind = choose.each(['read', 'fetch', 'rmw', 'implicit-read'] as const);
    return built(
      context,
      tables.root,
      [...tables.writes, self],
      [accessTo(context, through, kind), accessTo(context, va, 'read')],
    );
  },

  /** Addresses at the edges: non-canonical, wrapping, the last bytes of each half. */
  edge(context) {
    const { choose, mode } = context;
    const width = BigInt(widthOf(mode));
    const edges =
      width === 32n
        ? [0xffff_fffen, 0xffff_ffffn, 0xffff_fffcn, 0x7fff_fffen, 0x0n]
        : [
            bit(Number(width) - 1),
            -bit(Number(width) - 1),
            bit(47),
            -bit(47),
            bit(56),
            -bit(56),
            0n,
            bit(63),
            choose.bits(64),
          ];
    const va = BigInt.asUintN(width === 32n ? 32 : 64, choose.any(edges) + BigInt(choose.below(16) - 9));
    const tables = tablesFor(context, va);
    const access = { ...accessTo(context, va), va } as Step;
    return built(context, tables.root, tables.writes, [access]);
  },

  'no paging'(context) {
    const va = context.choose.any([0x1000n, 0xffff_fffdn, 0x10_0ff8n, 0x8000_0ffen]) + BigInt(context.choose.below(4));
    return built(
      context,
      0n,
      [{ pa: 0x1000n, value: 0x1122334455667788n, bytes: 8 }],
      [accessTo(context, BigInt.asUintN(32, va)), accessTo(context, 0x1000n, 'read')],
    );
  },
};

/** A change of one entry, and something that drops whatever was cached of it. */
function changeAndInvalidate({ choose, state }: Context, va: bigint, tables: Tables): Step[] {
  const entries = tables.writes.filter(({ pa }) => tables.entryAt.includes(pa));
  const { pa, bytes, value } = choose.any(entries);
  const flip = choose.any([
    1n,
    2n,
    4n,
    bit(5),
    bit(6),
    bit(7),
    bit(8),
    bytes === 8 ? bit(63) : 2n,
    bytes === 8 ? bit(51) : 4n,
  ]);
  const write: Step = { do: 'write', pa, bytes, value: value ^ flip };
  const toggled = state.cr4 ^ bit(7);
  const invalidate: Step[] = choose.any([
    [{ do: 'invlpg', va }],
    [
      { do: 'cr4', value: toggled },
      { do: 'cr4', value: state.cr4 },
    ],
    [{ do: 'invpcid', type: 2, pcid: 0n, va: 0n }],
    // MOV CR3 keeps global translations, which only the page's own INVLPG drops.
    [
      { do: 'invlpg', va },
      { do: 'cr3', value: tables.root },
    ],
  ] as Step[][]);
  return [write, ...invalidate];
}

/** Changes that need no invalidation: they are applied at each access. */
function changeRegime(choose: Chooser, state: State): Step[] {
  return choose.any([
    [{ do: 'cr0', value: state.cr0 ^ bit(16) }],
    [{ do: 'pkru', rights: Number(choose.bits(32)) }],
    [{ do: 'pkrs', rights: Number(choose.bits(32)) }],
    [{ do: 'cr4', value: state.cr4 ^ bit(21) }],
    [{ do: 'cr4', value: state.cr4 ^ bit(22) }],
    [{ do: 'cr4', value: state.cr4 ^ bit(20) }],
  ] as Step[][]);
}
