/** What an explored machine holds at one moment: tables, frames, locks, caches. */
import type { CachedEntry } from '../explorer/cached.ts';
import { entryText } from '../explorer/event-text.ts';
import type { Explored } from '../explorer/explored.ts';
import { Life } from '../explorer/lives.ts';
import { entryAt, tablesBelow } from '../explorer/tables-seen.ts';
import { hexNumber } from '../mmu/halves.ts';

export interface TableState {
  readonly frame: number;
  readonly level: number;
  /** `[3] 2M page 0x200 RW`. Entries that follow one another with the same text but for the frame are one line. */
  readonly lines: readonly string[];
}

export interface FrameState {
  readonly frame: number;
  readonly life: LifeName;
}

export type LifeName = 'unused' | 'free' | 'private' | 'linked' | 'detached';

export interface RaceState {
  readonly tables: readonly TableState[];
  readonly frames: readonly FrameState[];
  /** `map_pgdir_lock: CPU 1`. */
  readonly locks: readonly string[];
  /** By CPU. */
  readonly caches: readonly (readonly CachedEntry[])[];
}

const NAMES: Readonly<Record<number, LifeName>> = {
  [Life.NONE]: 'unused',
  [Life.FREE]: 'free',
  [Life.PRIVATE]: 'private',
  [Life.PUBLISHED]: 'linked',
  [Life.DETACHED]: 'detached',
};

export function stateOf({ world, lives }: Explored): RaceState {
  const { memory } = world.machine;
  const seen = { words: memory.words, pageOf: (frame: number): number => memory.pageOf(frame) };
  const tables = [...tablesBelow(seen, world.root, 4, 0)].map(({ frame, level }): TableState => {
    const entries = Array.from({ length: 512 }, (_, index) => entryAt(seen, frame, index));
    return {
      frame,
      level,
      lines: linesOf(entries.map((entry) => (entry.isPresent ? entryText(level, entry.frame, entry.flags) : ''))),
    };
  });
  const pages = memory.bytes.length / 4096;
  const frames = Array.from(
    { length: pages },
    (_, frame): FrameState => ({ frame, life: NAMES[lives.of(frame)] ?? 'unused' }),
  );
  const locks = [-1, ...frames.map(({ frame }) => frame)].flatMap((lock) => {
    const holder = lives.holderOf(lock);
    return holder < 0 ? [] : [`${lock < 0 ? 'map_pgdir_lock' : `lock of table ${hexNumber(lock)}`}: CPU ${holder}`];
  });
  return { tables, frames, locks, caches: world.cached.map(({ entries }) => entries) };
}

/** Entries as lines; runs of more than three that say the same, but for the address, as one. */
function linesOf(texts: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < texts.length; ) {
    const text = texts[at]!;
    if (text === '') {
      at += 1;
      continue;
    }
    let end = at + 1;
    while (end < texts.length && withoutNumber(texts[end]!) === withoutNumber(text)) end += 1;
    if (end - at > 3) {
      lines.push(`[${at}–${end - 1}] ${text} and on`);
      at = end;
    } else {
      lines.push(`[${at}] ${text}`);
      at += 1;
    }
  }
  return lines;
}

const withoutNumber = (text: string): string => text.replace(/0x[0-9a-f]+/, '');
