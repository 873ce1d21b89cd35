import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { A, ALL, D, Guest, PS, ROOT } from '../support/guest.ts';

// All machines of a thread share the table of hit views: here they use the same addresses for different data.
const MACHINES = 3;
const PAGES = 4;
const FRAMES = 8;

type Step =
  | readonly ['read' | 'write' | 'fetch' | 'remap', machine: number, page: number, value: number]
  | readonly ['cr3' | 'cpl', machine: number];

const machine = fc.nat(MACHINES - 1);
const steps = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<Step>[]>(
    {
      weight: 20,
      arbitrary: fc.tuple(
        fc.constantFrom('read' as const, 'write' as const, 'fetch' as const),
        machine,
        fc.nat(PAGES - 1),
        fc.nat(99),
      ),
    },
    { weight: 2, arbitrary: fc.tuple(fc.constant('remap' as const), machine, fc.nat(PAGES - 1), fc.nat(FRAMES - 1)) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('cr3' as const, 'cpl' as const), machine) },
  ),
  { maxLength: 300, size: 'max' },
);

/** A machine, and what its pages lead to and hold, kept beside it. */
class Subject {
  readonly guest: Guest;
  readonly frames: number[];
  readonly words: number[];
  #cpl = 0;

  constructor(name: number) {
    this.guest = new Guest();
    this.frames = Array.from({ length: PAGES }, (_, page) => (page + name) % FRAMES);
    this.words = Array.from({ length: FRAMES }, (_, frame) => 1000 * (name + 1) + frame);
    for (const [frame, word] of this.words.entries()) this.guest.machine.memory.words[(16 + frame) * 1024] = word;
    for (let page = 0; page < PAGES; page++) this.map(page, this.frames[page]!);
    // The same frames once more, through a large page.
    this.guest.map(0x4000_0000n, ALL | A | D | PS, 2);
  }

  map(page: number, frame: number): void {
    this.frames[page] = frame;
    this.guest.map(BigInt(page + 1) << 12n, (BigInt(16 + frame) << 12n) | ALL | A | D);
    this.guest.cpu.invlpg((page + 1) << 12, 0);
  }

  turnCpl(): void {
    this.#cpl ^= 3;
    this.guest.cpu.setCpl(this.#cpl);
  }

  step([what, , page = 0, value = 0]: Step): void {
    const { cpu } = this.guest;
    const lo = (page + 1) << 12;
    const frame = this.frames[page]!;
    if (what === 'read') {
      expect(cpu.read32(lo, 0)).toBe(this.words[frame]);
      expect(cpu.read32(0x4000_0000 + ((16 + frame) << 12), 0)).toBe(this.words[frame]);
    } else if (what === 'fetch') expect(cpu.fetch32(lo, 0)).toBe(this.words[frame]);
    else if (what === 'write') {
      expect(cpu.write32(lo, 0, value)).toBe(0);
      this.words[frame] = value;
    } else if (what === 'remap') this.map(page, value);
    else if (what === 'cr3') expect(cpu.setCr3(ROOT * 4096, 0)).toBe(0);
    else this.turnCpl();
    expect(cpu.faulted).toBe(0);
  }
}

describe('machines of one thread', () => {
  it('find their own data at the same addresses', () => {
    fc.assert(
      fc.property(steps, (run) => {
        const subjects = Array.from({ length: MACHINES }, (_, name) => new Subject(name));
        for (const step of run) subjects[step[1]]!.step(step);
      }),
      { numRuns: 60 },
    );
  });
});
