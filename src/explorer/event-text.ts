/** Events in words: what a CPU or its hardware did, with tables, entries and locks by name. */
import { FLUSH_ORDER_MASK } from '../hypervisor/flags.ts';
import { LOCK_PGDIR } from '../hypervisor/locks.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import type { Lives } from './lives.ts';
import { leadsToTable, type SeenEntry } from './tables-seen.ts';
import type { SeenEvent } from './watched.ts';

const SIZES = ['', '4K', '2M', '1G'];

const hex = (value: number): string => `0x${value.toString(16)}`;

/** What an entry holds, in words. */
export function entryText(level: number, frame: number, flags: number): string {
  const entry = { isPresent: (flags & 1) !== 0, lo: flags & 0xfff } as SeenEntry;
  if (!entry.isPresent) return frame === 0 && flags === 0 ? 'nothing' : `not present (${hex(frame)}, ${hex(flags)})`;
  if (leadsToTable(level, entry)) return `table ${hex(frame)}`;
  const rights = `${(flags & 2) !== 0 ? 'RW' : 'RO'}${(flags & 0x40) !== 0 ? ' D' : ''}`;
  return `${SIZES[level]} page ${hex(level > 1 ? frame - (frame % 2) : frame)} ${rights}`;
}

export class EventText {
  readonly #lives: Lives;
  readonly #pageOf: (frame: number) => number;

  constructor(lives: Lives, pageOf: (frame: number) => number) {
    this.#lives = lives;
    this.#pageOf = pageOf;
  }

  /** `L2[3] of table 0x5`. */
  entry(entry: number): string {
    const table = Math.floor(entry / ENTRIES);
    return `L${this.#levelOf(table) || '?'}[${entry % ENTRIES}] of ${hex(table)}`;
  }

  of({ operation, by, a, b, c, d }: SeenEvent, value: number, frame: number): string {
    const level =
      operation === 'write' || operation === 'exchange' || operation === 'publish'
        ? d
        : this.#levelOf(Math.floor(a / ENTRIES));
    switch (operation) {
      case 'read':
        return `reads ${this.entry(a)}: ${entryText(level, frame, value)}`;
      case 'load':
        return `walks ${this.entry(a)}: ${entryText(level, (frame & 0xf_ffff) * 0x10_0000 + (value >>> 12), value & 0xfff)}`;
      case 'compareExchange':
        return `${value === 0 ? 'fails to mark' : 'marks'} ${this.entry(a)} ${(d & 0x40) !== 0 ? 'A D' : 'A'}`;
      case 'write':
        return `writes ${this.entry(a)} := ${entryText(level, b, c)}`;
      case 'exchange':
        return `exchanges ${this.entry(a)} := ${entryText(level, b, c)}, was ${entryText(level, frame, value)}`;
      case 'publish':
        return `links ${this.entry(a)} := table ${hex(b)}`;
      case 'fill':
        return c === 0 ? `clears table ${hex(a)}` : `fills table ${hex(a)} from page ${hex(b)}`;
      case 'writeRun':
        return `writes ${value} of ${d} from ${this.entry(a)} := ${entryText(1, b, c)}`;
      case 'scan':
        return `scans table ${hex(a)}: ${value < 0 ? 'no run' : `a run from ${hex(value)}`}`;
      case 'counters':
        return `looks whether the table of ${this.entry(a)} may be a run: ${value === 0 ? 'no' : 'yes'}`;
      case 'scanEmpty':
        return `scans table ${hex(a)}: ${value === 0 ? 'not empty' : 'empty'}`;
      case 'scanTraits':
        return `scans table ${hex(a)} for what its flush needs`;
      case 'nextTable':
        return `looks for tables in ${hex(a)} from [${c}]: ${value < 0 ? 'none' : `[${value}] leads to ${hex(frame)}`}`;
      case 'alloc':
        return value < 0 ? 'allocates: no frame is left' : `allocates ${hex(value)}`;
      case 'detach':
        return `notes that ${hex(a)} is to be freed`;
      case 'free':
        return `frees ${hex(a)}${b === 0 ? ', never linked' : ''}`;
      case 'lock':
      case 'unlock':
        return `${operation}s ${a === LOCK_PGDIR ? 'map_pgdir_lock' : `table ${hex(a)}`}${operation === 'lock' && value === 1 ? ', which is stale' : ''}`;
      case 'shootdown':
        return 'begins a shootdown';
      case 'flush':
        return (b & FLUSH_ORDER_MASK) === 1 ? `INVLPG of page ${hex(a)}` : 'drops all translations';
      case 'request':
        return `asks CPUs ${cpusOf(a)} to drop theirs`;
      case 'acknowledge':
        return by === 'hardware' ? 'interrupt: acknowledges' : `has the acknowledgement of CPUs ${cpusOf(a)}`;
      case 'retire':
        return `gives the lock of table ${hex(a)} up for good`;
      case 'keep':
        return `marks table ${hex(a)} as one to keep`;
      case 'isKept':
        return `looks whether table ${hex(a)} is to be kept: ${value === 0 ? 'no' : 'yes'}`;
      case 'begin':
        return 'begins to read tables';
      case 'end':
        return 'forgets what it read';
      case 'graceBegin':
        return 'begins a grace period';
      case 'graceEnd':
        return 'has waited for every CPU that read tables before';
      case 'systemState':
        return 'looks at the system state';
      case 'tlbFind':
        return value < 0
          ? `TLB miss for ${pageOfAddress(a, b)}`
          : `TLB hit for ${pageOfAddress(a, b)}: ${SIZES[value & 3]} page ${hex(frame)}`;
      case 'structuresFind':
        return `walks from table ${hex(frame)}, level ${value & 7}`;
      case 'tlbFill':
        return `keeps ${pageOfAddress(a, b)}: ${SIZES[c]} page ${hex(d)}`;
      case 'dropFaulting':
        return `page fault at ${pageOfAddress(a, b)}`;
      case 'dropAll':
        return by === 'hardware' ? 'interrupt: drops what it was asked to' : 'drops all translations';
      case 'dropNonGlobal':
        return by === 'hardware' ? 'drops what it has cached, for no reason' : 'drops all but global translations';
      case 'dropPage':
      case 'dropTranslation':
        return `drops ${pageOfAddress(a, b)}`;
      case 'dropAddress':
        return `drops ${pageOfAddress(a, b)} of PCID ${c}`;
      case 'dropPcid':
        return `drops PCID ${a}`;
      case 'assist':
        return `a hypervisor below ${value === 0 ? 'refuses to drop' : 'drops'} for CPUs ${cpusOf(a)}`;
      case 'clock':
        return `reads the TLB clock: ${value}`;
      case 'filter':
        return `CPUs that need a flush: ${cpusOf(value) || 'none'}`;
      case 'step':
        return `a step on shared words ${a}`;
    }
  }

  #levelOf(table: number): number {
    const page = this.#pageOf(table);
    return page < 0 ? 0 : this.#lives.levelOf(page);
  }
}

const cpusOf = (mask: number): string =>
  Array.from({ length: 32 }, (_, cpu) => cpu)
    .filter((cpu) => (mask & (1 << cpu)) !== 0)
    .join(', ');

const pageOfAddress = (lo: number, hi: number): string => `page ${hex((hi & 0xffff) * 2 ** 20 + (lo >>> 12))}`;
