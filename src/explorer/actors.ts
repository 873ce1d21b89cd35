/**
 * Who may go next in an explored machine: each CPU's code, and what happens without code: its hardware's speculative walks,
 * interrupts that serve requests, caches that drop something for no reason, store buffers that drain.
 */

export type ActorKind = 'cpu' | 'walker' | 'interrupt' | 'evict-pages' | 'evict-tables' | 'drain';

export interface Actor {
  readonly kind: ActorKind;
  readonly cpu: number;
  /** In schedules: `0` is CPU 0's code, `w0` its walker, `i0` its interrupts, `p0` and `t0` its caches, `d0` its stores. */
  readonly name: string;
}

const LETTERS: Readonly<Record<ActorKind, string>> = {
  cpu: '',
  walker: 'w',
  interrupt: 'i',
  'evict-pages': 'p',
  'evict-tables': 't',
  drain: 'd',
};

/** Sets of actors are bits of an int32, of which the sign is left out. */
const MOST = 31;

export interface ActorsWanted {
  readonly cpus: number;
  readonly hasWalks: (cpu: number) => boolean;
  readonly evicts: boolean;
  readonly buffersStores: boolean;
}

/** The actors of a machine, in the order in which they are tried: whoever has code first. RangeError where there are too many. */
export function actorsOf({ cpus, hasWalks, evicts, buffersStores }: ActorsWanted): Actor[] {
  const every = (kind: ActorKind, has: (cpu: number) => boolean = () => true): Actor[] =>
    Array.from({ length: cpus }, (_, cpu) => cpu)
      .filter(has)
      .map((cpu) => ({ kind, cpu, name: `${LETTERS[kind]}${cpu}` }));
  const actors = [
    ...every('cpu'),
    ...every('walker', hasWalks),
    ...every('interrupt'),
    ...every('evict-pages', () => evicts),
    ...every('evict-tables', () => evicts),
    ...every('drain', () => buffersStores),
  ];
  if (actors.length > MOST)
    throw new RangeError(`a scenario has ${MOST} actors at most, not ${actors.length}: fewer CPUs, walks or options`);
  return actors;
}
