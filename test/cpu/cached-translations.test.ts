/** The seam of what a CPU has cached: each use and each change is told, and one that happened before is not repeated. */
import { describe, expect, it } from 'vitest';
import { READ, WRITE } from '../../src/mmu/access.ts';
import type { Operation, SeamObserver } from '../../src/mmu/seam.ts';
import { ALL, G, Guest, P } from '../support/guest.ts';

interface Told {
  readonly operation: Operation;
  readonly a: number;
  value: number;
  frame: number;
}

/** Notes operations with their outcomes; with a log, gives those back instead. */
class Logging implements SeamObserver {
  value = 0;
  frame = 0;
  readonly told: Told[] = [];
  readonly #log: readonly Told[];

  constructor(log: readonly Told[] = []) {
    this.#log = log;
  }

  enter(operation: Operation, a: number): boolean {
    const logged = this.#log[this.told.length];
    this.told.push({ operation, a, value: logged?.value ?? 0, frame: logged?.frame ?? 0 });
    if (logged === undefined) return false;
    expect([operation, a]).toEqual([logged.operation, logged.a]);
    this.value = logged.value;
    this.frame = logged.frame;
    return true;
  }

  leave(value: number, frame: number): void {
    Object.assign(this.told.at(-1)!, { value, frame });
  }

  get operations(): Operation[] {
    return this.told.map(({ operation }) => operation);
  }
}

function watched(guest: Guest, observer: SeamObserver): void {
  guest.cpu.translator.observer = observer;
  guest.cpu.translator.port.observer = observer;
}

describe('the seam of a translation', () => {
  it('tells of a miss, the walk, and what is kept; then of a hit', () => {
    const guest = new Guest().map(0n, 0x2000n | ALL);
    const observer = new Logging();
    watched(guest, observer);
    expect(guest.cpu.translator.translate(0, 0, READ)).toBe(0);
    const marks = ['compareExchange', 'compareExchange', 'compareExchange', 'compareExchange'];
    const walk = ['load', 'load', 'load', 'load', ...marks];
    expect(observer.operations).toEqual(['tlbFind', 'structuresFind', ...walk, 'tlbFill']);
    observer.told.length = 0;
    expect(guest.cpu.translator.translate(0x123, 0, READ)).toBe(0);
    expect(observer.operations).toEqual(['tlbFind']);
  });

  it.each<[string, bigint, number]>([
    ['a hit', P, READ],
    ['a miss', ALL, WRITE],
    ['a fault', P, WRITE],
  ])('executed again against its log, %s has the same outcome and touches nothing', (what, flags, access) => {
    const guest = new Guest().map(0n, 0x2000n | flags);
    const { translator } = guest.cpu;
    if (what === 'a hit') translator.translate(0, 0, READ);
    const first = new Logging();
    watched(guest, first);
    const vector = translator.translate(0, 0, access);
    const { frame, rights, level } = translator;
    // Another machine, with nothing in its tables: all that is known comes from the log.
    const other = new Guest();
    const again = new Logging(first.told);
    watched(other, again);
    expect(other.cpu.translator.translate(0, 0, access)).toBe(vector);
    if (vector === 0) {
      const { translator: replayed } = other.cpu;
      expect([replayed.frame, replayed.rights, replayed.level]).toEqual([frame, rights, level]);
    } else expect(other.cpu.fault.errorCode).toBe(guest.cpu.fault.errorCode);
    expect(again.operations).toEqual(first.operations);
    let cached = 0;
    other.cpu.translator.tlb.forEach(() => (cached += 1));
    other.cpu.translator.structures.forEach(() => (cached += 1));
    expect(cached).toBe(0);
  });

  it.each<[Operation, (guest: Guest) => void]>([
    ['dropPage', ({ cpu }) => cpu.invlpg(0, 0)],
    ['dropAddress', ({ cpu }) => cpu.translator.dropAddress(0, 0, 0)],
    ['dropPcid', ({ cpu }) => cpu.setCr3(0x100000, 0)],
    ['dropNonGlobal', ({ cpu }) => cpu.translator.dropNonGlobal()],
    ['dropAll', ({ cpu }) => cpu.setCr4(0xa0)],
  ])('tells of %s, which a replay leaves out', (operation, drop) => {
    const guest = new Guest({ cr4: 0 }).map(0n, 0x2000n | ALL | G);
    const { translator } = guest.cpu;
    translator.translate(0, 0, READ);
    const isCached = (): boolean => translator.tlb.find(0, 0, 0);
    const replaying = new Logging([{ operation, a: 0, value: 0, frame: 0 }]);
    replaying.enter = (asked) => asked === operation;
    translator.observer = replaying;
    drop(guest);
    expect(isCached()).toBe(true);
    const observer = new Logging();
    translator.observer = observer;
    if (operation === 'dropAll') guest.cpu.setCr4(0x20);
    else drop(guest);
    expect([observer.operations, isCached()]).toEqual([[operation], false]);
  });
});
