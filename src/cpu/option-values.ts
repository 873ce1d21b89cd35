/** What each option of a CPU may be, and the check against it: a value that nobody asks about would be ignored in silence. */
import type { CacheOptions } from './cache-options.ts';
import type { Features, Policy } from './features.ts';

/** Options by group, as `CpuOptions` has them. */
interface Options {
  readonly features: Features;
  readonly policy: Policy;
  readonly caches: CacheOptions;
}

/** Numbers among the values of an option. */
interface Numbers {
  /** What a message calls them. */
  readonly name: string;
  has(value: number): boolean;
}

type Values<Group> = { readonly [Name in keyof Group]-?: readonly (Exclude<Group[Name], undefined> | Numbers)[] };

const WIDTH: Numbers = {
  name: '32 to 52',
  has: (value) => Number.isInteger(value) && value >= 32 && value <= 52,
};
const ENTRIES: Numbers = {
  name: '0 or a power of two',
  has: (value) => value >= 0 && (value & -value) === value, // its lowest bit is all of it
};
const FLAG = [false, true] as const;

const VALUES: { readonly [Group in keyof Options]: Values<Options[Group]> } = {
  features: {
    vendor: ['intel', 'amd'],
    maxPhyAddr: [WIDTH],
    pse: FLAG,
    pse36: FLAG,
    pae: FLAG,
    pge: FLAG,
    pat: FLAG,
    pcid: FLAG,
    invpcid: FLAG,
    nx: FLAG,
    longMode: FLAG,
    page1gb: FLAG,
    la57: FLAG,
    smep: FLAG,
    smap: FLAG,
    pku: FLAG,
    pks: FLAG,
  },
  policy: {
    accessedOnFault: ['none', 'upper'],
    absentPdpteReserved: ['ignored', 'checked'],
    deniedHit: ['walk', 'fault'],
    accessedDirtyStores: ['silent', 'reported'],
    taskSwitchPdpteFault: [10, 13],
  },
  caches: {
    tlb: [ENTRIES, 'everything', 'off'],
    tlbLarge: [ENTRIES],
    tlbHuge: [ENTRIES],
    structures: [ENTRIES, 'everything', 'off'],
    replacement: ['round-robin', 'random'],
    hitViews: ['on', 'off'],
  },
};

/** RangeError, with the values there are, where an option has none of them. */
export function checkOptions(options: { readonly [Group in keyof Options]?: Partial<Options[Group]> }): void {
  for (const [group, table] of Object.entries(VALUES)) {
    const given: Readonly<Record<string, unknown>> = options[group as keyof Options] ?? {};
    for (const [name, values] of Object.entries<readonly unknown[]>(table))
      if (name in given && !values.some((value) => isOne(value, given[name])))
        throw new RangeError(`${group}.${name} is ${values.map(shown).join(' or ')}, not ${shown(given[name])}`);
  }
}

const isNumbers = (value: unknown): value is Numbers => typeof value === 'object' && value !== null && 'has' in value;

const isOne = (value: unknown, given: unknown): boolean =>
  isNumbers(value) ? typeof given === 'number' && value.has(given) : value === given;

const shown = (value: unknown): string => {
  if (isNumbers(value)) return value.name;
  return typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' ? 'an object' : String(value);
};
