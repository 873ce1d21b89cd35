/** Each deviation from Xen alone: what is mapped in the end is the same, and nothing is leaked or stale. */
import { describe, expect, it } from 'vitest';
import {
  BEHAVIOURS,
  type Behaviour,
  type BehaviourName,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_UC,
  PAGEWALK_BEHAVIOUR,
  XEN_BEHAVIOUR,
} from '../../src/hypervisor/index.ts';
import { type Booted, boot, G1, G512, M2, PRESETS } from '../support/hypervisor.ts';

const DEVIATIONS = (Object.keys(XEN_BEHAVIOUR) as (keyof Behaviour)[]).filter(
  (field) => XEN_BEHAVIOUR[field] !== PAGEWALK_BEHAVIOUR[field],
);

/** A bit of everything, some pages always cached. */
const STORY: readonly ((xen: Booted) => number)[] = [
  (xen) => xen.map(0, 0, G1),
  (xen) => xen.map(7, 0x107, 3, PAGE_HYPERVISOR_RO),
  (xen) => xen.map(7, 7, 3),
  (xen) => xen.map(G1, 0x201, 2 * M2),
  (xen) => xen.map(G1, 0x200, M2, PAGE_HYPERVISOR_UC),
  (xen) => xen.modify(M2 + 3, 4 * M2, PAGE_HYPERVISOR_RX),
  (xen) => xen.modify(M2, 4 * M2, PAGE_HYPERVISOR),
  (xen) => xen.unmap(2 * M2, 2 * M2),
  (xen) => xen.unmap(5 * M2 + 5, 2),
  (xen) => xen.map(2 * M2, 2 * M2, 2 * M2),
  (xen) => xen.populate(3 * G1 + 5, 20),
  (xen) => xen.map(3 * G1 + 5, 0x105, 5),
  (xen) => xen.destroy(3 * G1 + 5, 3 * G1 + 25),
  (xen) => xen.destroy(G1 + 3, G1 + M2 + 9),
  (xen) => xen.map(G512 - 3, 0x105, 6),
  (xen) => xen.modify(G512 - 1, G512 + 2, PAGE_HYPERVISOR_RO),
  (xen) => xen.destroy(G512 - 9, G512 + M2),
  (xen) => xen.map(G1 + 3, 0x103, 3 * M2, PAGE_HYPERVISOR_RX),
];

/** What is mapped after each part of the story. */
function told(behaviour: Behaviour): string[][] {
  const xen = boot({ behaviour, cpus: 2 });
  return STORY.map((part) => {
    for (const page of [3, 7, M2 + 5, G1 + 3, G1 + M2, G512 - 1]) for (const cpu of [0, 1]) xen.read(page, cpu);
    expect(part(xen)).toBe(0);
    return xen.mapped();
  });
}

describe('deviations', () => {
  const expected = told(XEN_BEHAVIOUR);

  it('are all but the options', () => {
    expect(DEVIATIONS).toHaveLength(8);
    const { coalesce, coalesceAfterModify, requests, onFailure } = PAGEWALK_BEHAVIOUR;
    expect([coalesce, coalesceAfterModify, requests, onFailure]).toEqual(['hypervisor', 'no', 'as-is', 'keep']);
  });

  it.each(DEVIATIONS)('%s: alone, over xen, maps the same', (field) => {
    expect(told({ ...XEN_BEHAVIOUR, [field]: PAGEWALK_BEHAVIOUR[field] })).toEqual(expected);
  });

  it.each(DEVIATIONS)('%s: as in xen, over pagewalk, maps the same', (field) => {
    expect(told({ ...PAGEWALK_BEHAVIOUR, [field]: XEN_BEHAVIOUR[field] })).toEqual(expected);
  });

  it('together map the same', () => {
    expect(told(PAGEWALK_BEHAVIOUR)).toEqual(expected);
  });

  it.each(PRESETS)('%s is a name for its fields', (name: BehaviourName) => {
    expect(boot(name).mm.behaviour).toEqual(BEHAVIOURS[name]);
  });
});

describe('Xen', () => {
  it('takes over tables that are there, and changes them as its own', () => {
    const first = boot('xen');
    first.map(0, 0, G1);
    first.map(7, 0x107, 3, PAGE_HYPERVISOR_RO);
    first.unmap(9);
    for (const behaviour of PRESETS) {
      const xen = boot({ behaviour, adopts: first });
      expect(xen.mapped()).toEqual(first.mapped());
      expect(xen.xen.frames.tables('boot')).toEqual(first.xen.frames.tables());
      expect(xen.map(7, 7, 3)).toBe(0);
      expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
      expect(xen.destroy(5, 6)).toBe(0);
      expect(xen.read(5)).toBe('#PF(0)');
    }
  });

  it('refuses a heap that is not RAM', () => {
    expect(() => boot({ heapFrames: 0 })).toThrow(RangeError);
  });

  it('knows the CPUs of this thread and no other', () => {
    const { xen } = boot({ cpus: 2 });
    expect(xen.on(1).cpu.index).toBe(1);
    expect(() => xen.on(2)).toThrow('CPU 2 is not run by this thread');
  });

  it('pages of all CPUs are managed by one Xen', () => {
    const xen = boot({ cpus: 2 });
    mapPages(xen.mms[1]!, xen.directmap, 0x105, 1, PAGE_HYPERVISOR);
    expect(xen.read(0)).toBe(0x105);
  });
});
