/** How scenarios are declared: variants of one name, and what they have in common. */
import { PAGE_HYPERVISOR } from '../../hypervisor/flags.ts';
import { mapPages } from '../../hypervisor/map-pages.ts';
import { M2, pageAt } from '../calls.ts';
import type { Declared, Variant } from '../declared.ts';
import type { Scenario } from '../scenario.ts';

/** A scenario in one of its variants, and what that must come to; default: every schedule, and clean. */
export type Case = Pick<Variant, 'label'> &
  Partial<Pick<Variant, 'finds' | 'preemptions'>> &
  Omit<Scenario, 'name' | 'about'>;

/** One declared scenario whose variants share its name. */
export const declare = (declared: Omit<Declared, 'variants'>, ...cases: readonly Case[]): Declared => ({
  ...declared,
  variants: cases.map(({ label, finds = [], preemptions, ...scenario }) => ({
    label,
    finds,
    ...(preemptions === undefined ? {} : { preemptions }),
    scenario: { name: declared.name, about: declared.title, ...scenario },
  })),
});

/** Maps so many pages of the directmap to frames from M2, before the start. */
export const mapped =
  (nr: number, flags: number = PAGE_HYPERVISOR): NonNullable<Scenario['prepare']> =>
  (mm) =>
    void mapPages(mm, pageAt(0), M2, nr, flags);
