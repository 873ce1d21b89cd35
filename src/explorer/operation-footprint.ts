/** What each operation of the seam touches, in an explored machine. */
import { FRESH, FRESH_END, ofCpu, POOL } from '../hypervisor/control.ts';
import { LOCK_PGDIR } from '../hypervisor/locks.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import { frameOf, P, PS } from '../mmu/entry.ts';
import {
  ALL,
  acknowledgementsTo,
  cachesOf,
  clockOf,
  EVERYTHING,
  entriesOf,
  type Footprint,
  footprint,
  insideOf,
  lifeOf,
  linkOf,
  lockOf,
  NOTHING,
  poolOf,
  requestsTo,
} from './footprint.ts';
import type { LogNode } from './program.ts';
import type { World } from './world.ts';

/** Words of a page. */
const WORDS = 2 * ENTRIES;

/** Of the operation after a log. Depends on the state where it unlinks tables, and where a freed frame may be allocated again. */
export function footprintOf(world: World, cpu: number, node: LogNode, reuse: 'never' | 'hostile'): Footprint {
  if (node.operation === 'alloc' && !isOwnStock(world, cpu)) return EVERYTHING; // who comes first gets a frame
  if (node.operation === 'alloc' && reuse === 'hostile') {
    const page = world.control[ofCpu(cpu, POOL)]! - 1;
    return footprint(poolOf(cpu), ALL, 1, lifeOf(page), ALL, 1, entriesOf(page), ALL, 1);
  }
  node.footprint ??= fixedFootprint(world, cpu, node);
  const isStore = node.operation === 'write' || node.operation === 'exchange' || node.operation === 'publish';
  return isStore ? withUnlinked(world, node.footprint, node.a, node.d) : node.footprint;
}

/** Of a store by code to an entry of a table of `level`: the tables that are no longer linked after it, too. */
export function withUnlinked(world: World, own: Footprint, entry: number, level: number): Footprint {
  if (level === 1) return own;
  const unlinked: number[] = [];
  addTablesUnder(world, Math.floor(entry / ENTRIES), entry % ENTRIES, level, unlinked);
  if (unlinked.length === 0) return own;
  return { ...own, touched: Int32Array.of(...own.touched, ...unlinked.flatMap((page) => [linkOf(page), ALL, 1])) };
}

/** Adds the backing pages of the tables that an entry of a table of `level`, 4 to 2, leads to. */
function addTablesUnder(world: World, table: number, index: number, level: number, pages: number[]): void {
  const { memory } = world.machine;
  const at = WORDS * memory.pageOf(table) + 2 * index;
  if (at < 0 || (memory.words[at]! & (level === 4 ? P : P | PS)) !== P) return;
  const below = frameOf(memory.words[at]!, memory.words[at + 1]!);
  const page = memory.pageOf(below);
  if (page < 0) return;
  pages.push(page);
  for (let entry = 0; level > 2 && entry < ENTRIES; entry++)
    if ((memory.words[WORDS * page + 2 * entry]! & (P | PS)) === P)
      addTablesUnder(world, below, entry, level - 1, pages);
}

/** Operations that no other CPU's can tell from not having happened yet: no scheduling point precedes them. */
export function isLocal(world: World, cpu: number, { operation }: LogNode, reuse: 'never' | 'hostile'): boolean {
  switch (operation) {
    case 'fill': // of a table that is not linked yet: whoever else touches it breaks a rule
    case 'detach':
    case 'shootdown':
    case 'systemState':
    case 'structuresFind': // right after the TLB was asked
      return true;
    case 'alloc':
      return reuse === 'never' && isOwnStock(world, cpu) && !isStockLow(world);
    default:
      return false;
  }
}

/** Whether a CPU's next allocation takes a frame that no other CPU can take. */
const isOwnStock = ({ control }: World, cpu: number): boolean => control[ofCpu(cpu, POOL)] !== 0;

/** Whether nothing is left outside of the pools: then CPUs take from one another's. */
const isStockLow = ({ control }: World): boolean => control[FRESH]! >= control[FRESH_END]!;

function fixedFootprint(world: World, cpu: number, { operation, a, b }: LogNode): Footprint {
  const page = world.pageOf(Math.floor(a / ENTRIES));
  const index = a % ENTRIES;
  switch (operation) {
    case 'read':
    case 'load':
      return page < 0 ? NOTHING : footprint(entriesOf(page), index, 0, lifeOf(page), ALL, 0);
    case 'compareExchange':
      return page < 0 ? NOTHING : footprint(entriesOf(page), index, 1, lifeOf(page), ALL, 0);
    case 'write':
    case 'exchange':
      return page < 0 ? NOTHING : footprint(entriesOf(page), index, 1, lifeOf(page), ALL, 0, linkOf(page), ALL, 0);
    case 'publish': {
      const linked = world.pageOf(b);
      const child = [lifeOf(linked), ALL, 1, linkOf(linked), ALL, 1];
      return footprint(entriesOf(page), index, 1, lifeOf(page), ALL, 0, linkOf(page), ALL, 0, ...child);
    }
    case 'writeRun':
      return footprint(entriesOf(page), ALL, 1, lifeOf(page), ALL, 0, linkOf(page), ALL, 0);
    case 'counters':
      return footprint(entriesOf(page), ALL, 0, lifeOf(page), ALL, 0);
    case 'scan':
    case 'scanEmpty':
    case 'scanTraits':
    case 'nextTable':
      return footprint(entriesOf(world.pageOf(a)), ALL, 0, lifeOf(world.pageOf(a)), ALL, 0);
    case 'fill':
      return footprint(entriesOf(world.pageOf(a)), ALL, 1, lifeOf(world.pageOf(a)), ALL, 0);
    case 'alloc':
      return footprint(poolOf(cpu), ALL, 1);
    case 'free': {
      const freed = world.pageOf(a);
      const caches = world.cpus.flatMap((_, other) => [cachesOf(other), ALL, 0]);
      const own = [acknowledgementsTo(cpu), ALL, 0, poolOf(cpu), ALL, 1];
      return footprint(lifeOf(freed), ALL, 1, linkOf(freed), ALL, 1, entriesOf(freed), ALL, 1, ...own, ...caches);
    }
    case 'lock':
    case 'unlock':
    case 'retire':
      return footprint(lockOf(a === LOCK_PGDIR ? -1 : world.pageOf(a)), ALL, 1);
    case 'request': {
      const targets = world.cpus.flatMap((_, other) => ((a & (1 << other)) === 0 ? [] : [requestsTo(other), ALL, 1]));
      return footprint(acknowledgementsTo(cpu), ALL, 1, ...targets);
    }
    case 'keep':
      return footprint(lifeOf(world.pageOf(a)), ALL, 1);
    case 'isKept':
      return footprint(lifeOf(world.pageOf(a)), ALL, 0);
    case 'begin':
    case 'end':
      return footprint(insideOf(cpu), ALL, 1);
    case 'graceBegin':
    case 'graceEnd':
      return footprint(...world.cpus.flatMap((_, other) => [insideOf(other), ALL, 0]));
    case 'acknowledge':
      return footprint(acknowledgementsTo(cpu), ALL, 0);
    case 'assist':
      return footprint(
        ...world.cpus.flatMap((_, other) => ((a & (1 << other)) === 0 ? [] : [cachesOf(other), ALL, 1])),
      );
    case 'clock':
    case 'filter':
      return footprint(clockOf(), ALL, 0);
    case 'tlbFind':
    case 'structuresFind':
      return footprint(cachesOf(cpu), ALL, 0);
    case 'flush':
      return footprint(cachesOf(cpu), ALL, 1, ...(world.usesClock ? [clockOf(), ALL, 1] : []));
    case 'tlbFill':
    case 'dropPage':
    case 'dropTranslation':
    case 'dropFaulting':
    case 'dropAddress':
    case 'dropPcid':
    case 'dropNonGlobal':
    case 'dropAll':
      return footprint(cachesOf(cpu), ALL, 1);
    case 'detach':
    case 'shootdown':
    case 'systemState':
      return NOTHING;
    default:
      return EVERYTHING;
  }
}
