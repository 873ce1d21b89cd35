/**
 * The 92 x86-TSO litmus tests of COATCheck (github.com/daniellustig/coatcheck), as facts: programs, what they come to, and
 * whether x86 can. Notation: CPUs are divided by `‖`; `Wx1` stores 1, `Rx0` is a load that returns 0, `F` is MFENCE,
 * `Xx0→1` is a locked exchange that returns 0 and stores 1, and `Xx→1` one that returns whatever is there; `[x:1<2]`: of
 * two stores to x, that of 2 is the last one. All is 0 at first. Where what is read tells the order of stores, it is not
 * written.
 */

/** Seen on x86, and never without store buffers. */
const PERMITTED = `
amd3: Wx1;Wx2;Ry1 ‖ Wy1;Wy2;Rx1
iwp24: Wx1;Rx1;Ry0 ‖ Wy1;Ry1;Rx0
iwp24a: Wx1;Rx1;Ry0 ‖ Wy1;Ry1;Rx0
n1: Wx2;Ry0 ‖ Wy1;Wx1 ‖ Rx1;Rx2
n6: Wx1;Rx1;Ry0 ‖ Wy2;Wx2 [x:2<1]
n7: Wx1;Rx1;Ry0 ‖ Wy1 ‖ Ry1;Rx0
n8: Xx→1;Ry0 ‖ Wy1;Rx0
podwr000: Wx1;Ry0 ‖ Wy1;Rx0
podwr001: Wx1;Ry0 ‖ Wy1;Rz0 ‖ Wz1;Rx0
rfi003: Wx1;Wy1 ‖ Wy2;Wz1;Rz1;Rx0 [y:1<2]
rfi005: Wx2;Rx2;Ry0 ‖ Wy1;Wx1;Rx1 [x:1<2]
rfi009: Wx1;F;Ry0 ‖ Wy1;Wz1;Rz1;Rx0
rfi010: Wx1;F;Ry0 ‖ Wy1;Wy2;Ry2;Rx0
rfi011: Wx1 ‖ Rx1;Wy1 ‖ Wy2;Ry2;Rx0 [y:1<2]
rfi012: Wx1;Wy1 ‖ Wy2;Ry2;Rx0 [y:1<2]
rfi013: Wx1;Rx1;Ry0 ‖ Wy1;Ry1;Rx0
rfi015: Wx1 ‖ Rx1;Ry0 ‖ Wy1;Ry1;Rx0
rfi017: Wx1;F;Ry0 ‖ Wy1;Ry1;Rx0
rwc-unfenced: Wx1 ‖ Rx1;Ry0 ‖ Wy1;Rx0
sb: Wx1;Ry0 ‖ Wy1;Rx0
`;

/** Seen on x86, with store buffers or without. */
const REQUIRED = `
iwp23b: Wx1;Rx1 ‖ Wy1;Ry1
n2: Wx1;Wy1 ‖ Wx2;Wz1 ‖ Rx1;Rx2 ‖ Rz1;Ry0 [x:1<2]
testandset2: Xx1→1 ‖ Xx0→1
testandset2+earlyld: Rx1;Xx1→1 ‖ Rx0;Xx0→1
`;

/** Never seen. */
const FORBIDDEN = `
amd10: Wx1;F;Rx1;Ry0 ‖ Wy1;F;Ry1;Rx0
amd5: Wx1;F;Ry0 ‖ Wy1;F;Rx0
co-iriw: Wx1 ‖ Wx2 ‖ Rx1;Rx2 ‖ Rx2;Rx1
co-mp: Wx1;Wx2 ‖ Rx2;Rx1
iriw: Wx1 ‖ Wy1 ‖ Rx1;Ry0 ‖ Ry1;Rx0
iwp27: Xx→1 ‖ Xy→1 ‖ Rx1;Ry0 ‖ Ry1;Rx0
iwp28a: Xx→1;Ry0 ‖ Xy→1;Rx0
iwp28b: Xx→1;Wy1 ‖ Ry1;Rx0
lb: Rx1;Wy1 ‖ Ry1;Wx1
mp: Wx1;Wy1 ‖ Ry1;Rx0
mp+fences: Wx1;F;Wy1 ‖ Ry1;F;Rx0
mp+staleld: Wx1;Wy1 ‖ Rx0;Ry1;Rx0
n3: Xx→1 ‖ Wy1 ‖ Rx1;Ry0;Ry1 ‖ Ry1;Rx0;Rx1
n4: Rx2;Wx1;Rx1 ‖ Rx1;Wx2;Rx2
n5: Wx1;Rx2 ‖ Wx2;Rx1
rfi000: Wx2 ‖ Rx2;Wy1 ‖ Wy2;Wx1;Rx1 [y:1<2,x:1<2]
rfi001: Wx2;Wy1 ‖ Wy2;Wx1;Rx1 [y:1<2,x:1<2]
rfi002: Wx2;Wy1 ‖ Wy2;Wx1;Rx1;Rx1 [y:1<2,x:1<2]
rfi004: Wx2;Wy1;Ry1 ‖ Wy2;Wx1;Rx1 [y:1<2,x:1<2]
rfi006: Wx2 ‖ Rx2;Ry0 ‖ Wy1;Wx1;Rx1 [x:1<2]
rfi007: Wx2;F;Ry0 ‖ Wy1;Wx1;Rx1 [x:1<2]
rfi008: Wx2;F;Ry0 ‖ Wy1;Wx1;Rx1;Rx1 [x:1<2]
rfi014: Wx2;Wy1 ‖ Ry1;Rx0 ‖ Wx1;Rx1 [x:1<2]
rfi016: Wx2;Wy1 ‖ Wy2;F;Rx0 ‖ Wx1;Rx1 [y:1<2,x:1<2]
rfi018: Wx2;F;Ry0 ‖ Wy1;F;Rx0 ‖ Wx1;Rx1 [x:1<2]
rwc-fenced: Wx1 ‖ Rx1;Ry0 ‖ Wy1;F;Rx0
safe000: Rx1;Wx2 ‖ Rx2;Wy1 ‖ Ry1;Wx1 [x:1<2]
safe001: Wx2;Wy1 ‖ Ry1;Wy2 ‖ Ry2;Wx1 [y:1<2,x:1<2]
safe002: Wx1;Wy1 ‖ Ry1;Wy2 ‖ Ry2;Rx0 [y:1<2]
safe003: Wx2;Wy1 ‖ Ry1;Wx1 ‖ Rx1;Rx1 [x:1<2]
safe004: Wx2;Wy1 ‖ Wy2;Wx1 ‖ Rx1;Rx1 [y:1<2,x:1<2]
safe005: Wx1;Wy1 ‖ Ry1;Ry1 ‖ Wy2;F;Rx0 [y:1<2]
safe006: Rx1;Wy1 ‖ Ry1;Wx1
safe007: Rx1;Wy1 ‖ Ry1;Wz1 ‖ Rz1;Wx1
safe008: Wx2;Wy1 ‖ Ry1;Wz1 ‖ Rz1;Wx1 [x:1<2]
safe009: Wx2 ‖ Rx2;Wy1 ‖ Ry1;Wx1 [x:1<2]
safe010: Wx2;Wy1 ‖ Ry1;Wx1 [x:1<2]
safe011: Wx2;Wy1 ‖ Wy2;Wz1 ‖ Rz1;Wx1 [y:1<2,x:1<2]
safe012: Wx1;Wy1 ‖ Ry1;Wz1 ‖ Rz1;Rx0
safe013: Wx1;Wy1 ‖ Ry1;Wz1 ‖ Wz2;F;Rx0 [z:1<2]
safe014: Wx1;Wx2 ‖ Rx2;Wy1 ‖ Ry1;Rx0
safe015: Wx1;Wx2 ‖ Rx2;Wy1 ‖ Wy2;F;Rx0 [y:1<2]
safe016: Wx2 ‖ Rx2;Wy1 ‖ Wy2 ‖ Ry2;Wx1 [y:1<2,x:1<2]
safe017: Wx2 ‖ Rx2;Wy1 ‖ Wy2;Wx1 [y:1<2,x:1<2]
safe018: Wx1 ‖ Rx1;Wy1 ‖ Ry1;Rx0
safe019: Wx2 ‖ Rx2;Ry0 ‖ Wy1 ‖ Ry1;Wx1 [x:1<2]
safe020: Wx1 ‖ Rx1;Wy1 ‖ Wy2;F;Rx0 [y:1<2]
safe021: Wx1;Wy1 ‖ Wy2;Wz1 ‖ Rz1;Rx0 [y:1<2]
safe022: Wx1;Wy1 ‖ Ry1;Rx0
safe023: Wx2;Wy1 ‖ Ry1;Rx0 ‖ Wx1;F;Rx1 [x:1<2]
safe024: Wx1;Wy1 ‖ Ry1;Rz0 ‖ Wz1;F;Rx0
safe025: Wx1;Wx2 ‖ Rx2;Ry0 ‖ Wy1;F;Rx0
safe026: Wx2 ‖ Rx2;Ry0 ‖ Wy1;Wx1 [x:1<2]
safe027: Wx1 ‖ Rx1;Ry0 ‖ Wy1 ‖ Ry1;Rx0
safe028: Wx1 ‖ Rx1;Ry0 ‖ Wy1;F;Rx0
safe029: Wx2;Wy1 ‖ Wy2;Wx1 [y:1<2,x:1<2]
safe030: Wx2;Wy1 ‖ Wy2;Wz1 ‖ Wz2;Wx1 [y:1<2,z:1<2,x:1<2]
safe031: Wx1;Wy1 ‖ Wy2;Wz1 ‖ Wz2;F;Rx0 [y:1<2,z:1<2]
safe032: Wx2;Wy1 ‖ Wy2;F;Rx0 ‖ Wx1;F;Rx1 [y:1<2,x:1<2]
safe033: Wx1;Wy1 ‖ Wy2;F;Rx0 [y:1<2]
safe034: Wx1;Wy1 ‖ Wy2;F;Rz0 ‖ Wz1;F;Rx0 [y:1<2]
safe035: Wx1;F;Rx1 ‖ Wx2;F;Ry0 ‖ Wy1;F;Rx0 [x:1<2]
safe036: Wx1;F;Ry0 ‖ Wy1;F;Rx0
safe037: Wx1;F;Ry0 ‖ Wy1;F;Rz0 ‖ Wz1;F;Rx0
ssl: Wx1;Wx2;Rx1
testandset: Xx0→1 ‖ Xx0→1
testandset+earlyld: Rx0;Xx0→1 ‖ Rx0;Xx0→1
wrc: Wx1 ‖ Rx1;Wy1 ‖ Ry1;Rx0
`;

export type Verdict = 'permitted' | 'required' | 'forbidden';

/** One instruction. */
export type Step =
  | { readonly kind: 'store'; readonly location: string; readonly value: number }
  | { readonly kind: 'load'; readonly location: string; readonly value: number }
  | {
      readonly kind: 'exchange';
      readonly location: string;
      readonly value: number | undefined;
      readonly stores: number;
    }
  | { readonly kind: 'fence' };

export interface TsoTest {
  readonly name: string;
  /** As written above. */
  readonly text: string;
  readonly verdict: Verdict;
  readonly cpus: readonly (readonly Step[])[];
  /** What is in memory in the end, where that is part of the outcome. */
  readonly last: ReadonlyMap<string, number>;
}

export const TSO_TESTS: readonly TsoTest[] = [
  ...parse(PERMITTED, 'permitted'),
  ...parse(REQUIRED, 'required'),
  ...parse(FORBIDDEN, 'forbidden'),
];

function parse(lines: string, verdict: Verdict): TsoTest[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [, name = '', text = '', , order = ''] = /^(\S+): ([^[]+)( \[(.*)\])?$/.exec(line) ?? [];
      const cpus = text.split('‖').map((program) => program.trim().split(';').map(stepOf));
      const last = new Map<string, number>();
      for (const [, location, value] of order.matchAll(/(\w):\d<(\d)/g)) last.set(location!, Number(value));
      return { name, text: line.slice(name.length + 2), verdict, cpus, last };
    });
}

function stepOf(text: string): Step {
  if (text === 'F') return { kind: 'fence' };
  const [, kind, location = '', first, second] = /^([WRX])([xyz])(\d?)(?:→(\d))?$/.exec(text) ?? [];
  const value = Number(first);
  switch (kind) {
    case 'W':
      return { kind: 'store', location, value };
    case 'R':
      return { kind: 'load', location, value };
    case 'X':
      return { kind: 'exchange', location, value: first === '' ? undefined : value, stores: Number(second) };
    default:
      throw new Error(`${text} is no instruction`);
  }
}
