/** What other CPUs ask for while a long request runs. */
import { describe, expect, it } from 'vitest';
import { FLUSH_ORDER, FLUSH_TLB } from '../../src/hypervisor/index.ts';
import { type Booted, type BootOptions, boot, M2, PRESETS } from '../support/hypervisor.ts';

/** CPU 1 has asked CPU 0 for something, and waits; nobody serves CPU 0's requests but CPU 0. */
function asked(options: BootOptions): Booted {
  const xen = boot({ cpus: 2, ...options });
  const { mailboxes } = xen.machine;
  xen.map(3, 0x103, 1);
  xen.map(M2, 0x100, 4);
  mailboxes.servesAtOnce = false;
  xen.cpus[1]!.park(); // so that CPU 0 need not wait for it
  mailboxes.post(1, 0b01, 0, 0, FLUSH_TLB | FLUSH_ORDER(0));
  return xen;
}

const waitsFor = ({ machine: { mailboxes } }: Booted): number[] => mailboxes.unserved(1);

/** Requests of two steps and more. */
const LONG: readonly (readonly [string, (xen: Booted) => number])[] = [
  ['mapping over a boundary of tables', (xen) => xen.map(2 * M2 - 1, 0x100, 2)],
  ['remapping pages', (xen) => xen.map(M2, 0x200, 3)],
  ['unmapping pages', (xen) => xen.unmap(M2, 3)],
  ['modifying pages', (xen) => xen.modify(M2, M2 + 3, 0)],
  ['destroying pages and what lies around them', (xen) => xen.destroy(M2 - 2, M2 + 6)],
];

describe.each(PRESETS)('a long request, behaviour %s', (behaviour) => {
  it.each(LONG)('%s serves others on its way', (_what, request) => {
    const xen = asked({ behaviour });
    expect(waitsFor(xen)).toEqual([0]);
    expect(request(xen)).toBe(0);
    expect(waitsFor(xen)).toEqual([]);
  });

  it('with interrupts off serves nobody', () => {
    const xen = asked({ behaviour, systemState: 1 });
    xen.mm.locks.irqsOn = false;
    expect(xen.mapOn(0, 2 * M2 - 1, 0x100, 2)).toBe(0);
    expect(waitsFor(xen)).toEqual([0]);
  });

  it('that is observed leaves it to who observes', () => {
    const xen = asked({ behaviour });
    xen.record();
    expect(xen.mapOn(0, 2 * M2 - 1, 0x100, 2)).toBe(0);
    expect(waitsFor(xen)).toEqual([0]);
  });
});
