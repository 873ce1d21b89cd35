import { describe, expect, it } from 'vitest';
import {
  DIRECTMAP,
  LINEAR_PT,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PERDOMAIN,
  type Reach,
  Roots,
  SH_LINEAR_PT,
  VMAP,
  type XenMm,
} from '../../src/hypervisor/index.ts';
import { type Booted, type BootOptions, boot, G512, PRESETS } from '../support/hypervisor.ts';

/** Frames of other roots. */
const ROOT = 0x50;
const GUEST_ROOT = 0x51;

interface Rooted extends Booted {
  readonly roots: Roots;
  readonly other: XenMm;
}

/** CPU 1 runs on a root of its own, which follows that of the memory managers. */
function bootRoots(options: BootOptions = {}): Rooted {
  const booted = boot({ cpus: 2, ...options });
  const roots = new Roots(4, 2, { shared: false });
  for (const mm of booted.mms) roots.follow(mm);
  newRoot(booted, ROOT);
  roots.register(booted.mm, ROOT);
  booted.cpus[1]!.long.setCr3(ROOT * 4096);
  return Object.assign(booted, { roots, other: booted.mms[1]! });
}

function newRoot({ machine }: Booted, frame: number): void {
  machine.memory.bytes.fill(0, frame * 4096, (frame + 1) * 4096);
}

/** A guest's root, on which CPU 1 runs. */
function enterGuest(booted: Rooted, reach: Reach): void {
  newRoot(booted, GUEST_ROOT);
  booted.roots.register(booted.mm, GUEST_ROOT, reach);
  booted.cpus[1]!.long.setCr3(GUEST_ROOT * 4096);
}

describe('Roots', () => {
  it.each(PRESETS)('case 81: a new L4 entry is there in each root when the mapping call returns, %s', (behaviour) => {
    const booted = bootRoots({ behaviour });
    for (const slot of [0, 1, 20]) {
      expect(booted.read(slot * G512, 1)).toBe('#PF(0)');
      expect(booted.map(slot * G512, 0x60 + slot)).toBe(0);
      expect([booted.read(slot * G512, 0), booted.read(slot * G512, 1)]).toEqual([0x60 + slot, 0x60 + slot]);
    }
  });

  it('case 81: without it another root has a hole', () => {
    const booted = bootRoots();
    for (const mm of booted.mms) mm.onL4Entry = undefined;
    booted.map(0, 0x60);
    expect([booted.read(0, 0), booted.read(0, 1)]).toEqual([0x60, '#PF(0)']);
  });

  it('case 81: what was mapped before a root was registered is there', () => {
    const booted = bootRoots();
    booted.map(0, 0x60);
    booted.map(5 * G512, 0x61);
    enterGuest(booted, 'all');
    expect([booted.read(0, 1), booted.read(5 * G512, 1)]).toEqual([0x60, 0x61]);
  });

  it('shares what lies below: changes made on any CPU are there in each root, and no translation is stale', () => {
    const booted = bootRoots();
    const { mm, other } = booted;
    booted.map(0, 0x60, 4);
    expect([0, 1].map((cpu) => booted.read(3, cpu))).toEqual([0x63, 0x63]);
    mapPages(other, DIRECTMAP.start + 3, 0x70, 1, PAGE_HYPERVISOR_RO);
    expect([0, 1].map((cpu) => booted.read(3, cpu))).toEqual([0x70, 0x70]);
    expect([0, 1].map((cpu) => booted.canWrite(3, cpu))).toEqual([false, false]);
    mapPages(mm, DIRECTMAP.start + 3, 0, 1, 0);
    expect([0, 1].map((cpu) => booted.read(3, cpu))).toEqual(['#PF(0)', '#PF(0)']);
  });

  it('copies what any CPU adds', () => {
    const booted = bootRoots();
    mapPages(booted.other, VMAP.start, 0x60, 1, PAGE_HYPERVISOR);
    for (const { long } of booted.cpus) expect(long.read32('0xffff82c000000000')).toBe(0x60);
  });

  it("copies to a guest's root what lies in its reserved range only", () => {
    const booted = bootRoots();
    booted.map(0, 0x60);
    booted.map(10 * G512, 0x61);
    enterGuest(booted, 'guest');
    booted.map(9 * G512, 0x62);
    booted.map(11 * G512, 0x63);
    expect([0, 9, 10, 11].map((slot) => booted.read(slot * G512, 1))).toEqual([0x60, 0x62, '#PF(0)', '#PF(0)']);
  });

  it('leaves each root its own windows on tables and its own domain, and the half that is not ours', () => {
    const booted = bootRoots();
    const { mm, machine } = booted;
    for (const page of [LINEAR_PT.start, SH_LINEAR_PT.start, PERDOMAIN.start, 0x400])
      mapPages(mm, page, 0x60, 1, PAGE_HYPERVISOR);
    enterGuest(booted, 'all');
    for (const root of [ROOT, GUEST_ROOT])
      expect(machine.memory.bytes.subarray(root * 4096, (root + 1) * 4096).every((byte) => byte === 0)).toBe(true);
  });

  it('copies under map_pgdir_lock, after the entry of the first root', () => {
    const booted = bootRoots();
    const recorder = booted.recorded(() => mapPages(booted.mm, DIRECTMAP.start, 0x60, 1, PAGE_HYPERVISOR));
    expect(recorder.steps('lock', 'unlock', 'publish').slice(0, 4)).toEqual([
      'lock pgdir',
      'link L3',
      'link L3',
      'unlock pgdir',
    ]);
  });

  it('registers and unregisters under map_pgdir_lock', () => {
    const booted = bootRoots();
    booted.map(0, 0x60);
    newRoot(booted, GUEST_ROOT);
    const registering = booted.recorded(() => booted.roots.register(booted.mm, GUEST_ROOT));
    expect(registering.steps('lock', 'unlock', 'publish')).toEqual(['lock pgdir', 'link L3', 'unlock pgdir']);
    const unregistering = booted.recorded(() => booted.roots.unregister(booted.mm, GUEST_ROOT));
    expect(unregistering.steps('lock', 'unlock')).toEqual(['lock pgdir', 'unlock pgdir']);
  });

  it('copies nothing more to a root that was unregistered', () => {
    const booted = bootRoots();
    const { roots, mm } = booted;
    newRoot(booted, GUEST_ROOT);
    roots.register(mm, GUEST_ROOT);
    expect(roots.list(mm)).toEqual([ROOT, GUEST_ROOT]);
    booted.map(0, 0x60);
    roots.unregister(mm, ROOT);
    roots.unregister(mm, ROOT);
    expect(roots.list(mm)).toEqual([GUEST_ROOT]);
    booted.map(G512, 0x61);
    expect([booted.read(0, 1), booted.read(G512, 1)]).toEqual([0x60, '#PF(0)']);
    booted.cpus[1]!.long.setCr3(GUEST_ROOT * 4096);
    expect(booted.read(G512, 1)).toBe(0x61);
  });

  it('gives a place to another root, with the reach of that', () => {
    const booted = bootRoots();
    booted.roots.unregister(booted.mm, ROOT);
    enterGuest(booted, 'guest');
    booted.map(0, 0x60);
    booted.map(12 * G512, 0x61);
    expect([0, 12].map((slot) => booted.read(slot * G512, 1))).toEqual([0x60, '#PF(0)']);
  });

  it('registers a root once, with the longer reach', () => {
    const booted = bootRoots();
    const { roots, mm } = booted;
    enterGuest(booted, 'guest');
    booted.map(12 * G512, 0x60);
    expect(booted.read(12 * G512, 1)).toBe('#PF(0)');
    roots.register(mm, GUEST_ROOT, 'all');
    roots.register(mm, GUEST_ROOT, 'guest');
    expect(roots.list(mm)).toEqual([ROOT, GUEST_ROOT]);
    booted.map(13 * G512, 0x61);
    expect([12, 13].map((slot) => booted.read(slot * G512, 1))).toEqual([0x60, 0x61]);
  });

  it('refuses more roots than it has places for', () => {
    const booted = bootRoots();
    const { mm, roots } = booted;
    booted.map(0, 0x60);
    for (const root of [0x51, 0x52, 0x53, 0x54]) newRoot(booted, root);
    for (const root of [0x51, 0x52, 0x53]) roots.register(mm, root);
    expect(() => roots.register(mm, 0x54)).toThrow(RangeError);
    expect(booted.machine.host.read32(0x54 * 4096 + 262 * 8)).toBe(0);
    expect(mm.locks.isHolding).toBe(false);
    roots.unregister(mm, 0x52);
    roots.register(mm, 0x54);
    expect(roots.list(mm)).toEqual([ROOT, 0x51, 0x53, 0x54]);
  });

  it('is a bug where a root has another table already', () => {
    const booted = bootRoots();
    const { mm, roots, machine } = booted;
    booted.map(0, 0x60);
    newRoot(booted, GUEST_ROOT);
    machine.host.write32(GUEST_ROOT * 4096 + 262 * 8, 0x70063);
    expect(() => roots.register(mm, GUEST_ROOT)).toThrow('BUG: L4 slot 262 of root 0x51 leads to 0x70 already');
    expect(mm.locks.isHolding).toBe(false);
  });

  it('goes on telling whoever was told before', () => {
    const { mm } = boot();
    const told: number[] = [];
    mm.onL4Entry = (slot) => told.push(slot);
    new Roots(1, 2, { shared: false }).follow(mm);
    mapPages(mm, DIRECTMAP.start, 0, 1, PAGE_HYPERVISOR);
    expect(told).toEqual([262]);
  });

  it('opens what another thread has made', () => {
    const booted = boot({ cpus: 2 });
    const [mm, other] = booted.mms as [XenMm, XenMm];
    const roots = new Roots(4, 2, { shared: true });
    newRoot(booted, ROOT);
    roots.register(mm, ROOT);
    const attached = Roots.attach(structuredClone(roots.share()));
    attached.follow(other);
    mapPages(other, DIRECTMAP.start, 0x60, 1, PAGE_HYPERVISOR);
    booted.cpus[1]!.long.setCr3(ROOT * 4096);
    expect(booted.read(0, 1)).toBe(0x60);
  });

  it('holds frames above 2^32 bytes', () => {
    const { mm } = boot();
    const roots = new Roots(4, 2, { shared: false });
    // No L4 entry is there yet, so that the root is not looked at.
    roots.register(mm, 2 ** 39 + 5);
    expect(roots.list(mm)).toEqual([2 ** 39 + 5]);
  });
});
