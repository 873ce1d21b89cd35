/** The regions of the address space in which something is mapped, to go to. */
import { type ComponentChild, h } from 'preact';
import { useMemo } from 'preact/hooks';
import { toHalves } from '../mmu/address.ts';
import type { Slots } from './slots.ts';
import type { Subject } from './subject.ts';

export interface RegionBarProps {
  readonly slots: Slots;
  readonly subject: Subject;
  readonly onGoTo: (level: number, page: number) => void;
}

interface Place {
  readonly name: string;
  readonly level: number;
  readonly page: number;
}

export function RegionBar({ slots, subject, onGoTo }: RegionBarProps): ComponentChild {
  const places = useMemo(() => placesOf(slots, subject), [subject]);
  if (places.length === 0) return null;
  return h(
    'div',
    { class: 'row regions', role: 'group', 'aria-label': 'Regions' },
    places.map(({ name, level, page }) => h('button', { key: name, onClick: () => onGoTo(level, page) }, name)),
  );
}

/** The first page mapped in each region, and the level at which the region fits into one table. */
function placesOf(slots: Slots, { cpu, regions }: Subject): Place[] {
  return regions.flatMap(({ name, start, end }) => {
    const last = toHalves(end).subtract(1);
    const first = toHalves(start);
    const [leaf] = cpu.leaves(first, last);
    if (leaf === undefined) return [];
    const pages = slots.pageOf(last.low, last.high) + 1 - slots.pageOf(first.low, first.high);
    let level = slots.levels;
    while (level > Math.max(1, leaf.level) && (level === slots.levels || pages <= slots.pagesOf(level))) level -= 1;
    return [{ name, level, page: leaf.page }];
  });
}
