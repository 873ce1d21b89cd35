/** What each operation of the seam touches, in an explored machine. */
import { POOL } from '../hypervisor/control.ts';
import { LOCK_PGDIR } from '../hypervisor/locks.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
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
  lockOf,
  NOTHING,
  poolOf,
  requestsTo,
} from './footprint.ts';
import type { LogNode } from './program.ts';
import type { World } from './world.ts';

/** Of the operation after a log. Depends on the state only where a freed frame may be allocated again. */
export function footprintOf(world: World, cpu: number, node: LogNode, reuse: 'never' | 'hostile'): Footprint {
  if (node.operation === 'alloc' && reuse === 'hostile') {
    const page = world.control[POOL + cpu]! - 1;
    const reused = page < 0 ? [] : [lifeOf(page), ALL, 1, entriesOf(page), ALL, 1];
    return footprint(poolOf(cpu), ALL, 1, ...reused);
  }
  node.footprint ??= fixedFootprint(world, cpu, node);
  return node.footprint;
}

/** Operations that no other CPU's can tell from not having happened yet: no scheduling point precedes them. */
export function isLocal({ operation }: LogNode, reuse: 'never' | 'hostile'): boolean {
  switch (operation) {
    case 'fill': // of a table that is not linked yet: whoever else touches it breaks a rule
    case 'detach':
    case 'shootdown':
    case 'systemState':
    case 'structuresFind': // right after the TLB was asked
      return true;
    case 'alloc':
      return reuse === 'never';
    default:
      return false;
  }
}

function fixedFootprint(world: World, cpu: number, { operation, a, b }: LogNode): Footprint {
  const page = world.pageOf(Math.floor(a / ENTRIES));
  const index = a % ENTRIES;
  switch (operation) {
    case 'read':
    case 'load':
      return page < 0 ? NOTHING : footprint(entriesOf(page), index, 0, lifeOf(page), ALL, 0);
    case 'write':
    case 'exchange':
    case 'compareExchange':
      return page < 0 ? NOTHING : footprint(entriesOf(page), index, 1, lifeOf(page), ALL, 0);
    case 'publish':
      return footprint(entriesOf(page), index, 1, lifeOf(page), ALL, 0, lifeOf(world.pageOf(b)), ALL, 1);
    case 'writeRun':
      return footprint(entriesOf(page), ALL, 1, lifeOf(page), ALL, 0);
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
      return footprint(lifeOf(freed), ALL, 1, entriesOf(freed), ALL, 1, ...own, ...caches);
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
