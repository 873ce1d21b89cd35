/**
 * What may be mapped at a page, by what the operations mean on a flat list of pages (flat-map.ts): at any time, whatever
 * some of them in some order leave there; in the end, whatever all of them do. Page by page: requests for several pages are
 * not atomic as a whole.
 */
import { type FlatMap as Flat, FlatMap, type Mapping, mappingText, sameMapping } from './flat-map.ts';
import type { CpuOperation, Scenario } from './scenario.ts';
import { walkFor } from './tables-seen.ts';
import type { World } from './world.ts';

interface Allowed {
  readonly atAnyTime: readonly (Mapping | undefined)[];
  readonly inTheEnd: readonly (Mapping | undefined)[];
}

export class Serial {
  readonly #allowed: ReadonlyMap<number, Allowed>;
  readonly #world: World;
  /** Whether all operations have a meaning, and there are pages to judge. */
  readonly isJudging: boolean;

  constructor({ cpus, pages = [] }: Scenario, world: World) {
    this.#world = world;
    this.isJudging =
      pages.length > 0 && cpus.every((operations) => operations.every(({ meaning }) => meaning !== undefined));
    this.#allowed = this.isJudging ? allowed(cpus, pages, this.#now(pages)) : new Map();
  }

  isAllowed(page: number, mapping: Mapping | undefined): boolean {
    return this.#allowed.get(page)!.atAnyTime.some((one) => sameMapping(one, mapping));
  }

  /** Pages that are mapped as no order of the operations would have it. */
  wrongAtEnd(): string[] {
    const wrong: string[] = [];
    for (const [page, { inTheEnd }] of this.#allowed) {
      const { mapping } = walkFor(this.#memory(), this.#world.root, page);
      if (!inTheEnd.some((one) => sameMapping(one, mapping)))
        wrong.push(
          `page 0x${page.toString(16)} is mapped to ${mappingText(mapping)}, and should be to ${inTheEnd.map(mappingText).join(' or ')}`,
        );
    }
    return wrong;
  }

  #now(pages: readonly number[]): FlatMap {
    const map = new FlatMap(pages);
    for (const page of pages) map.set(page, walkFor(this.#memory(), this.#world.root, page).mapping);
    return map;
  }

  #memory(): { words: Int32Array; pageOf: (frame: number) => number } {
    const { memory } = this.#world.machine;
    return { words: memory.words, pageOf: (frame) => memory.pageOf(frame) };
  }
}

/** Every order of the CPUs' operations, each CPU's own in their order. */
function allowed(
  cpus: readonly (readonly CpuOperation[])[],
  pages: readonly number[],
  start: FlatMap,
): ReadonlyMap<number, Allowed> {
  const atAnyTime = new Map<number, (Mapping | undefined)[]>(pages.map((page) => [page, []]));
  const inTheEnd = new Map<number, (Mapping | undefined)[]>(pages.map((page) => [page, []]));
  const note = (into: Map<number, (Mapping | undefined)[]>, map: Flat): void => {
    for (const [page, seen] of into) {
      const mapping = map.at(page);
      if (!seen.some((one) => sameMapping(one, mapping))) seen.push(mapping);
    }
  };
  const visit = (map: Flat, done: readonly number[]): void => {
    note(atAnyTime, map);
    let isLast = true;
    for (const [cpu, operations] of cpus.entries()) {
      const next = operations[done[cpu]!];
      if (next === undefined) continue;
      isLast = false;
      const after = map.copy();
      next.meaning!(after);
      visit(
        after,
        done.map((count, at) => (at === cpu ? count + 1 : count)),
      );
    }
    if (isLast) note(inTheEnd, map);
  };
  visit(
    start,
    cpus.map(() => 0),
  );
  return new Map(pages.map((page) => [page, { atAnyTime: atAnyTime.get(page)!, inTheEnd: inTheEnd.get(page)! }]));
}
