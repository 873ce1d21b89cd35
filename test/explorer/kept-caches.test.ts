/** What is kept of a CPU's caches from its seam alone is what they hold, where they keep everything: after every operation. */
import { expect, it } from 'vitest';
import { type CachedEntry, cachedBy } from '../../src/explorer/cached.ts';
import { KeptCaches } from '../../src/explorer/kept-caches.ts';
import { SeamTap } from '../../src/explorer/seam-tap.ts';
import { DIRECTMAP, mapPages, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO } from '../../src/hypervisor/index.ts';
import { READ, WRITE } from '../../src/index.ts';
import { CR4 } from '../support/control-bits.ts';
import { boot, G1, halves, M2 } from '../support/hypervisor.ts';

const G = 0x100;
const PAGES = [0, 1, 2, 3, M2, M2 + 7, 2 * M2, G1, G1 + M2 + 1, 2 * G1 + 5];

const textOf = ({ kind, level, lo, hi, context, frame, rights }: CachedEntry): string =>
  [kind, level, hi >>> 0, lo >>> 0, context, frame, rights].join(' ');

it.each([
  ['PCIDs and global pages', CR4.PCIDE | CR4.PGE],
  ['PCIDs', CR4.PCIDE],
  ['global pages', CR4.PGE],
])('%s: the same after 4,000 random operations', (_name, cr4) => {
  const { cpu, mm, xen } = boot({ cr4, heapFrames: 512 });
  const { translator } = cpu;
  let state = 11;
  const pick = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
  cpu.translator.translate(...halves(0), READ); // a page fault
  mapPages(mm, DIRECTMAP.start + G1, 0, G1, PAGE_HYPERVISOR);
  translator.translate(...halves(G1), READ); // there before
  const kept = new KeptCaches(translator);
  translator.observer = new SeamTap(0, 'hardware', {
    before: () => {},
    after: ({ operation, a, b, c }) => kept.note(operation, a, b, c),
  });
  const pcid = (): number => ((cr4 & CR4.PCIDE) !== 0 ? pick(3) : 0);
  let most = 0;
  for (let nth = 0; nth < 4000; nth++) {
    const page = PAGES[pick(PAGES.length)]!;
    const [lo, hi] = halves(page);
    const flags = [PAGE_HYPERVISOR, PAGE_HYPERVISOR & ~G, PAGE_HYPERVISOR_RO & ~G][pick(3)]!;
    const act = pick(24);
    if (act < 12) translator.translate(lo, hi, [READ, READ, WRITE][pick(3)]!);
    else if (act < 14) mapPages(mm, DIRECTMAP.start + page, 8 * G1 + page, 1, pick(4) === 0 ? 0 : flags);
    else if (act < 15) mapPages(mm, DIRECTMAP.start + page - (page % M2), M2 * pick(9), M2, flags);
    else if (act < 16) cpu.invlpg(lo, hi);
    else if (act < 20) cpu.setCr3(xen.root * 4096 + pcid(), (cr4 & CR4.PCIDE) !== 0 && pick(4) > 0 ? 1 << 31 : 0);
    else if (act < 21) cpu.invpcid(0, pcid(), 0, lo, hi);
    else if (act < 22) cpu.invpcid(1, pcid(), 0, 0, 0);
    else if (act < 23 && pick(3) === 0) cpu.invpcid(3, 0, 0, 0, 0);
    else if (pick(6) === 0) cpu.invpcid(2, 0, 0, 0, 0);
    const held = cachedBy(0, translator).entries;
    most = Math.max(most, held.length);
    const whole = [{ first: 0, pages: 2 ** 36 }];
    const tables = new Set(held.filter(({ kind }) => kind === 'table').map(({ frame }) => frame));
    const known = [...kept.pagesIn(whole), ...[...tables].flatMap((frame) => kept.tablesTo(frame))];
    expect(known.map(textOf).sort()).toEqual(held.map(textOf).sort());
    expect([...kept.pages()].map(textOf).sort()).toEqual(kept.pagesIn(whole).map(textOf).sort());
    const asked = { first: (DIRECTMAP.start + page) % 2 ** 36, pages: 1 + pick(M2) };
    const overlapping = kept.pagesIn(whole).filter((entry) => {
      const first = (entry.hi & 0xffff) * 2 ** 20 + (entry.lo >>> 12);
      return first < asked.first + asked.pages && first + 512 ** (entry.level - 1) > asked.first;
    });
    expect(kept.pagesIn([asked]).map(textOf).sort()).toEqual(overlapping.map(textOf).sort());
  }
  expect(most).toBeGreaterThan(8);
});
