/** Strict mode: requests that make no sense get -EINVAL and change nothing. Edge cases 8, 10 to 12, 43, 46. */
import { describe, expect, it } from 'vitest';
import { BEHAVIOURS } from '../../src/hypervisor/behaviour.ts';
import {
  type Behaviour,
  EINVAL,
  INVALID_MFN,
  MAP_SMALL_PAGES,
  mapPages,
  mapPagesToXen,
  modifyPages,
  modifyXenMappings,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RWX,
  PAGE_HYPERVISOR_RX,
  populatePtRange,
} from '../../src/hypervisor/index.ts';
import { type Booted, boot, G1, M2, PRESETS, va } from '../support/hypervisor.ts';

const TOP = 2 ** 52;
/** One past the last page of the lower half; the first of the upper one. */
const LOW_END = 2 ** 35;
const HIGH = TOP - LOW_END;
const FRAMES = 2 ** (46 - 12);

const REFUSED: readonly [string, (xen: Booted) => number][] = [
  ['8: an unaligned address', ({ mm }) => mapPagesToXen(mm, va(5) + 1n, 0x105, 1, PAGE_HYPERVISOR)],
  ['8: an unaligned address to unmap', ({ mm }) => mapPagesToXen(mm, va(5) + 0x800n, INVALID_MFN, 1, 0)],
  ['10: an address that is not canonical', ({ mm }) => mapPages(mm, LOW_END, 0x105, 1, PAGE_HYPERVISOR)],
  ['10: one just below the upper half', ({ mm }) => mapPages(mm, HIGH - 1, 0x105, 1, PAGE_HYPERVISOR)],
  ['10: a range that leaves the lower half', ({ mm }) => mapPages(mm, LOW_END - 1, 0x105, 2, PAGE_HYPERVISOR)],
  ['10: a hole to unmap that is not canonical', ({ mm }) => mapPages(mm, LOW_END, INVALID_MFN, 1, 0)],
  ['9: a range that wraps', ({ mm }) => mapPages(mm, TOP - 1, 0x105, 2, PAGE_HYPERVISOR)],
  ['11: PRESENT with INVALID_MFN', (xen) => mapPages(xen.mm, xen.directmap, INVALID_MFN, 1, PAGE_HYPERVISOR)],
  ['12: a frame beyond MAXPHYADDR', (xen) => mapPages(xen.mm, xen.directmap, FRAMES, 1, PAGE_HYPERVISOR)],
  ['12: frames that go beyond it', (xen) => mapPages(xen.mm, xen.directmap, FRAMES - 1, 2, PAGE_HYPERVISOR)],
  ['12: a frame beyond 52 bits', (xen) => mapPages(xen.mm, xen.directmap, 2 ** 40, 1, PAGE_HYPERVISOR)],
  ['a page that is writable and executable', (xen) => mapPages(xen.mm, xen.directmap, 0x105, 1, PAGE_HYPERVISOR_RWX)],
  ['46: an unaligned start', ({ mm }) => modifyXenMappings(mm, va(1) + 8n, va(3), PAGE_HYPERVISOR_RO)],
  ['46: an unaligned end', ({ mm }) => modifyXenMappings(mm, va(1), va(3) - 8n, PAGE_HYPERVISOR_RO)],
  ['45: a range that ends before it begins', ({ mm }) => modifyXenMappings(mm, va(3), va(1), PAGE_HYPERVISOR_RO)],
  ['43: present over a hole', ({ mm }) => modifyXenMappings(mm, va(0), va(11), PAGE_HYPERVISOR_RO)],
  [
    '43: present where there is no table',
    ({ mm }) => modifyXenMappings(mm, va(5 * G1), va(5 * G1 + 1), PAGE_HYPERVISOR_RO),
  ],
  ['43: present over a hole before a page', ({ mm }) => modifyXenMappings(mm, va(10), va(M2 + 1), PAGE_HYPERVISOR_RO)],
  ['writable and executable by modify', ({ mm }) => modifyXenMappings(mm, va(0), va(1), PAGE_HYPERVISOR_RWX)],
  ['10: not canonical by modify', ({ mm }) => modifyPages(mm, LOW_END - 1, LOW_END + 1, 0)],
];

/** 10 pages, and 2 MiB behind a hole. */
function strict(base: keyof typeof BEHAVIOURS = 'pagewalk', others: Partial<Behaviour> = {}): Booted {
  const xen = boot({ behaviour: { ...BEHAVIOURS[base], requests: 'strict', ...others } });
  xen.map(0, 0x100, 10);
  xen.map(M2, 0x200, M2);
  return xen;
}

describe.each(PRESETS)('strict requests over the behaviour %s', (behaviour) => {
  it.each(REFUSED)('%s: is refused, and nothing changes', (_what, run) => {
    const xen = strict(behaviour);
    const before = [xen.mapped(), xen.xen.frames.tables()];
    const trace = xen.recorded(() => expect(run(xen)).toBe(-EINVAL));
    expect([xen.mapped(), xen.xen.frames.tables()]).toEqual(before);
    expect(trace.steps()).toEqual([]);
    expect(xen.problems()).toEqual([]);
  });

  it('takes requests that make sense, up to the last page and the last frame', () => {
    const xen = strict(behaviour);
    const { mm } = xen;
    expect(mapPagesToXen(mm, va(20), FRAMES - 1, 1, PAGE_HYPERVISOR)).toBe(0);
    expect(mapPages(mm, TOP - 1, 0x105, 1, PAGE_HYPERVISOR_RX)).toBe(0);
    expect(mapPages(mm, LOW_END - 1, 0x105, 1, PAGE_HYPERVISOR_RO)).toBe(0);
    expect(mapPages(mm, HIGH, 0x105, 1, PAGE_HYPERVISOR)).toBe(0);
    expect(modifyXenMappings(mm, va(0), va(10), PAGE_HYPERVISOR_RO)).toBe(0);
    expect(modifyXenMappings(mm, va(M2 + 5), va(M2 + 9), PAGE_HYPERVISOR_RX)).toBe(0);
    expect(modifyXenMappings(mm, va(0), va(2 * G1), 0)).toBe(0);
    expect(modifyPages(mm, TOP - 1, TOP, 0)).toBe(0);
    expect(xen.unmap(0, G1)).toBe(0);
    expect(xen.map(0, INVALID_MFN, 1, MAP_SMALL_PAGES)).toBe(0);
    expect(xen.map(0, 0x105, 0)).toBe(0);
    expect(xen.problems()).toEqual([]);
  });

  it('a range with a gap is no hole where large pages of any size cover it', () => {
    const xen = strict(behaviour);
    xen.map(G1, 0, G1);
    xen.map(2 * G1, 0, 3);
    expect(modifyXenMappings(xen.mm, va(2 * G1 - 7), va(2 * G1 + 3), PAGE_HYPERVISOR_RO)).toBe(0);
  });

  it('without NX in the processor nothing is refused for being executable', () => {
    const xen = boot({ behaviour: { ...BEHAVIOURS[behaviour], requests: 'strict' }, features: { nx: false } });
    expect(xen.map(5, 0x105)).toBe(0);
  });

  it('8: an unaligned address to populate: is refused', () => {
    expect(populatePtRange(strict(behaviour).mm, va(5) + 8n, 1)).toBe(-EINVAL);
  });

  it('a refused request has done no page', () => {
    const xen = strict(behaviour);
    expect(xen.mm.pagesDone).toBe(M2);
    xen.map(0, INVALID_MFN, 1, PAGE_HYPERVISOR);
    expect(xen.mm.pagesDone).toBe(0);
  });
});

describe('requests as they are', () => {
  it.each(PRESETS)('behaviour %s: writable code, W+X by modify and holes are no error', (behaviour) => {
    const xen = boot(behaviour);
    expect(xen.map(5, 0x105, 1, PAGE_HYPERVISOR_RWX)).toBe(0);
    expect(xen.modify(5, 6, PAGE_HYPERVISOR_RX)).toBe(0);
    expect(xen.modify(5, 6, PAGE_HYPERVISOR_RWX)).toBe(0);
    expect(xen.mapped()).toEqual(['0x5: 1 x 4K -> 0x105 RWX']);
  });
});
