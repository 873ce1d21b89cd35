/** Rows of tables of enhanced litmus tests, and how they are judged: by all outcomes, on several machines. */
import { describe, expect, it } from 'vitest';
import { type Accesses, type EltMachine, type EltOutcome, type End, eltOutcomes } from './litmus-elt.ts';

/** What is said of an outcome. */
export type Says = (accesses: Accesses, end: End) => boolean;

/** Another program or machine, on which the outcome is what the verdict does not say: the test could fail. */
export interface Contrast {
  /** What is different there. */
  readonly what: string;
  readonly program?: string;
  readonly says?: Says;
  readonly on?: EltMachine;
}

export interface Row {
  readonly name: string;
  readonly program: string;
  /** The outcome, in words. */
  readonly outcome: string;
  readonly says: Says;
  readonly verdict: 'permitted' | 'forbidden';
  /** Where permitted, the machine that shows it; where forbidden, machines that do not. */
  readonly on: readonly EltMachine[];
  readonly contrast: Contrast | undefined;
}

export const permitted = (
  name: string,
  program: string,
  outcome: string,
  says: Says,
  on: EltMachine = {},
  contrast?: Contrast,
): Row => ({ name, program, outcome, says, verdict: 'permitted', on: [on], contrast });

/** Never seen: on no machine, where none are given. */
export const forbidden = (
  name: string,
  program: string,
  outcome: string,
  says: Says,
  contrast?: Contrast,
  on: readonly EltMachine[] = everyMachine(program),
): Row => ({ name, program, outcome, says, verdict: 'forbidden', on, contrast });

/** Caches that are cold or warm, hold on or drop, are filled for no reason; stores that are buffered or not. */
function everyMachine(program: string): EltMachine[] {
  const warm = [...'xyz'].filter((page) => program.includes(page)).join('');
  const walks = program.split('‖').map((one) => [...'yxz'].find((page) => one.includes(page)) ?? '');
  if (process.env['PAGEWALK_LONG'] !== '1') {
    // What hardware walks for no reason matters where entries change.
    const walking = program.includes('=') ? [{ walks, storeBuffers: true }] : [];
    return [{}, { warm, dirty: warm, storeBuffers: true }, { warm, storeBuffers: true, evictions: 1 }, ...walking];
  }
  const colds: EltMachine[] = [{}, { warm }, { warm, dirty: warm }];
  return colds.flatMap((cold) => [
    { ...cold, storeBuffers: true, evictions: 2 },
    { ...cold, storeBuffers: true, walks },
    { ...cold, walks, evictions: 1 },
  ]);
}

/** By program and machine; several rows are about one program. */
const known = new Map<string, readonly EltOutcome[]>();

function isSeen(program: string, machine: EltMachine, says: Says): boolean {
  const key = `${program} ${JSON.stringify(machine)}`;
  const outcomes = known.get(key) ?? eltOutcomes(program, machine);
  known.set(key, outcomes);
  return outcomes.some(({ accesses, end }) => says(accesses, end));
}

export function judge(rows: readonly Row[]): void {
  describe.each(rows)('$name: $program', ({ program, outcome, says, verdict, on, contrast }) => {
    const isPermitted = verdict === 'permitted';
    it(`${isPermitted ? 'seen' : 'never'}: ${outcome}`, () => {
      for (const machine of on) expect(isSeen(program, machine, says), JSON.stringify(machine)).toBe(isPermitted);
    });
    if (contrast === undefined) return;
    const other = contrast.program ?? program;
    it(`${isPermitted ? 'but never' : 'but seen'} ${contrast.what}${other === program ? '' : `: ${other}`}`, () => {
      expect(isSeen(other, contrast.on ?? {}, contrast.says ?? says)).toBe(!isPermitted);
    });
  });
}
