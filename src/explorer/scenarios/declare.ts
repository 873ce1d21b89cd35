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

/** What stands in the tables at the start. */
export type Prepare = NonNullable<Scenario['prepare']>;

/** Pages of the directmap that are mapped to frames from `mfn`. */
export const mappedTo =
  (page: number, mfn: number, nr = 1, flags: number = PAGE_HYPERVISOR): Prepare =>
  (mm) =>
    void mapPages(mm, pageAt(page), mfn, nr, flags);

/** The first so many, to frames from M2. */
export const mapped = (nr: number, flags: number = PAGE_HYPERVISOR): Prepare => mappedTo(0, M2, nr, flags);

/** One after the other. */
export const both =
  (...steps: readonly Prepare[]): Prepare =>
  (mm) => {
    for (const step of steps) step(mm);
  };
