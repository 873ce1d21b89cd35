/**
 * What an address space maps, as people say it: page -> (frame, flags), and what each request makes of that. Knows neither
 * tables nor page sizes nor TLBs. Written from Xen's rules for map_pages_to_xen() and modify_xen_mappings(); imports
 * nothing from src.
 *
 * A run of pages with consecutive frames and the same flags is one object, so that 1 GiB costs as much as a page. Flags
 * are those of a 4 KiB page: bits 0 to 11 of its entry, then bits 52 to 63.
 *
 * Accessed and dirty are the processor's to set, in the entry of whatever page size is there; and a request that asks for
 * nothing but other A and D may be passed over. Where the one or the other makes them unsure, `unsure` says so.
 */

const P = 0x1;
const RW = 0x2;
const A = 0x20;
const D = 0x40;
const NX = 0x80_0000;

/** What modify_xen_mappings() may change. */
const CHANGEABLE = NX | D | A | RW | P;

export interface Run {
  readonly page: number;
  readonly count: number;
  readonly mfn: number;
  readonly flags: number;
}

interface Piece extends Run {
  /** A and D where they may be either. */
  readonly unsure: number;
}

/** The part of a run from `start` to `end`. */
const part = (run: Piece, start: number, end: number): Piece => ({
  ...run,
  page: start,
  count: end - start,
  mfn: run.mfn + (start - run.page),
});

export class FlatMap {
  /** Ascending. Neighbours that continue one another need not be one. */
  #pieces: Piece[] = [];

  clone(): FlatMap {
    const copy = new FlatMap();
    copy.#pieces = [...this.#pieces];
    return copy;
  }

  get runs(): readonly Run[] {
    return this.#pieces;
  }

  /** What a page maps to; undefined where it maps nothing. */
  at(page: number): (Run & { readonly unsure: number }) | undefined {
    const run = this.#pieces.find((piece) => page < piece.page + piece.count);
    return run === undefined || run.page > page ? undefined : part(run, page, page + 1);
  }

  /** What a range maps, cut to it. */
  within(page: number, count: number): readonly Run[] {
    const end = page + count;
    return this.#pieces
      .filter((run) => count > 0 && run.page < end && run.page + run.count > page)
      .map((run) => part(run, Math.max(page, run.page), Math.min(end, run.page + run.count)));
  }

  /** map_pages_to_xen(): without P, unmaps. */
  map(page: number, count: number, mfn: number, flags: number): void {
    const asked: Piece = { page, count, mfn, flags, unsure: 0 };
    this.#edit(page, page + count, (old) => {
      if ((flags & P) === 0) return [];
      const said = old
        .filter((run) => run.mfn - run.page === mfn - page && ((run.flags ^ flags) & ~(A | D)) === 0)
        .map((run) => ({ ...run, flags, unsure: run.unsure | (run.flags ^ flags) }));
      let from = page;
      const made = said.flatMap((run) => {
        const before = part(asked, from, run.page);
        from = run.page + run.count;
        return [before, run];
      });
      return [...made, part(asked, from, page + count)];
    });
  }

  /** modify_xen_mappings(): frames and the other flags stay, holes too; without P, unmaps. */
  modify(page: number, count: number, nf: number): void {
    this.#edit(page, page + count, (old) =>
      (nf & P) === 0
        ? []
        : old.map((run) => ({ ...run, flags: (run.flags & ~CHANGEABLE) | (nf & CHANGEABLE), unsure: 0 })),
    );
  }

  /** The processor has used a page, and set A, or A and D, in its entry: of a page of up to 1 GiB. */
  used(page: number, access: 'read' | 'write'): void {
    const run = this.at(page);
    const sets = access === 'write' ? A | D : A;
    if (run === undefined || (run.flags & ~run.unsure & sets) === sets) return;
    const start = page - (page % 2 ** 18);
    this.#edit(start, start + 2 ** 18, (old) =>
      old.map((other) => ({ ...other, unsure: other.unsure | (sets & ~other.flags) })),
    );
  }

  /** In words, the first page at which what `runs` maps is something else; an empty string where nothing is. */
  differs(runs: readonly Run[]): string {
    const [expected, found] = [new Cursor(this.#pieces), new Cursor(runs)];
    for (let page = 0; page < 2 ** 52; ) {
      const end = Math.min(expected.seek(page), found.seek(page));
      const [want, got] = [expected.run as Piece | undefined, found.run];
      const isSame =
        want !== undefined && got !== undefined
          ? want.mfn - want.page === got.mfn - got.page && ((want.flags ^ got.flags) & ~want.unsure) === 0
          : want === got;
      if (!isSame) return `page ${page.toString(16)}: ${words(got, page)} instead of ${words(want, page)}`;
      page = end;
    }
    return '';
  }

  /** Replaces what lies in a range by what `make` makes of it. */
  #edit(start: number, end: number, make: (old: readonly Piece[]) => readonly Piece[]): void {
    const [before, inside, after]: [Piece[], Piece[], Piece[]] = [[], [], []];
    for (const run of this.#pieces) {
      const runEnd = run.page + run.count;
      if (run.page < start) before.push(part(run, run.page, Math.min(runEnd, start)));
      if (runEnd > start && run.page < end) inside.push(part(run, Math.max(run.page, start), Math.min(runEnd, end)));
      if (runEnd > end) after.push(part(run, Math.max(run.page, end), runEnd));
    }
    this.#pieces = [...before, ...make(inside).filter(({ count }) => count > 0), ...after];
  }
}

/** Walks ascending runs by ascending pages. */
class Cursor {
  /** The run that the page lies in. */
  run: Run | undefined = undefined;
  readonly #runs: readonly Run[];
  #next = 0;

  constructor(runs: readonly Run[]) {
    this.#runs = runs;
  }

  /** Returns the page at which `run` changes next. */
  seek(page: number): number {
    let next = this.#runs[this.#next];
    while (next !== undefined && next.page + next.count <= page) next = this.#runs[++this.#next];
    const isInside = next !== undefined && next.page <= page;
    this.run = isInside ? next : undefined;
    if (next === undefined) return 2 ** 52;
    return isInside ? next.page + next.count : next.page;
  }
}

const words = (run: Run | undefined, page: number): string =>
  run === undefined
    ? 'nothing'
    : `frame ${(run.mfn + page - run.page).toString(16)} with flags ${run.flags.toString(16)}`;
