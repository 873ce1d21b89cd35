/** Whether the tables of a CPU map what is expected, compared byte for byte however it is cut into pages and runs. */
import type { Cpu } from '../cpu/cpu.ts';
import { sizeText, walkLines } from '../cpu/walk-text.ts';
import { EXAMINE } from '../mmu/access.ts';
import type { Address } from '../mmu/address.ts';
import { hex64 } from '../mmu/halves.ts';
import type { Verdict } from './verdict.ts';
import { high, low, wide } from './wide.ts';

/** Bytes that are mapped, as in `cpu.runs()`; or, without `physical`, bytes that are not. */
export interface ExpectedRun {
  /** First linear byte, a multiple of 4096. */
  readonly linear: Address;
  /** Where it leads; `undefined`: nowhere. */
  readonly physical: Address | undefined;
  /** A multiple of 4096, not 0. */
  readonly sizeBytes: number;
  /** `urwx`, with `-` for what some level forbids; compared where given. */
  readonly rights?: string;
}

/** What may be mapped besides. */
export interface MapsOptions {
  /** What may be mapped besides the expected runs: `nothing` (default) or `anything`. */
  readonly elsewhere?: 'nothing' | 'anything';
}

/** From `from` to `to` (exclusive, up to 2^64); `physical` is undefined where nothing is mapped. */
interface Piece {
  readonly from: bigint;
  readonly to: bigint;
  readonly physical: bigint | undefined;
  readonly rights: string | undefined;
}

/** The end of all addresses. */
const END = 1n << 64n;

/** The longest lists that a message shows whole. */
const SHOWN = 16;

/**
 * RangeError where expected runs overlap, or are not whole pages.
 * @param runs  in any order
 */
export function judgeMappings(cpu: Cpu, runs: readonly ExpectedRun[], options: MapsOptions = {}): Verdict {
  const { elsewhere = 'nothing' } = options;
  const expected = piecesOf(runs);
  const nothing = elsewhere === 'nothing' ? gapsOf(expected) : [];
  const wanted = [...expected, ...nothing].sort(byAddress);
  const found =
    elsewhere === 'nothing' ? mapped(cpu, 0n, END) : wanted.flatMap(({ from, to }) => mapped(cpu, from, to));
  const difference = firstDifference(wanted, found);
  const message = (): string =>
    difference === undefined
      ? ['expected tables that map something else than', ...listOf(expected)].join('\n')
      : [
          `${hexOf(difference.at)}: expected ${pieceText(difference.expected, difference.at)}, found ${pieceText(difference.found, difference.at)}`,
          '',
          ...walkLines(cpu.explain(low(difference.at), high(difference.at), EXAMINE)),
          '',
          'expected:',
          ...listOf(expected),
          'found:',
          ...listOf(found),
        ].join('\n');
  return {
    pass: difference === undefined,
    message,
    actual: listOf(found).join('\n'),
    expected: listOf(expected).join('\n'),
  };
}

function piecesOf(runs: readonly ExpectedRun[]): Piece[] {
  const pieces = runs.map(({ linear, physical, sizeBytes, rights }) => {
    const from = wide(linear);
    const start = physical === undefined ? undefined : wide(physical);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0)
      throw new RangeError(`a run has a whole number of pages, not ${sizeBytes} bytes`);
    const to = from + BigInt(sizeBytes);
    if ((from | to | (start ?? 0n)) % 4096n !== 0n)
      throw new RangeError(`a run is made of whole pages, not ${sizeBytes} bytes from ${hexOf(from)}`);
    if (to > END) throw new RangeError(`a run ends past the last address: ${sizeBytes} bytes from ${hexOf(from)}`);
    return { from, to, physical: start, rights: start === undefined ? undefined : rights };
  });
  pieces.sort(byAddress);
  pieces.forEach(({ from }, nth) => {
    if (nth > 0 && from < pieces[nth - 1]!.to) throw new RangeError(`two runs cover ${hexOf(from)}`);
  });
  return pieces;
}

const byAddress = (a: Piece, b: Piece): number => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0);

function gapsOf(pieces: readonly Piece[]): Piece[] {
  const starts = [0n, ...pieces.map(({ to }) => to)];
  const ends = [...pieces.map(({ from }) => from), END];
  return starts
    .map((from, nth) => ({ from, to: ends[nth]!, physical: undefined, rights: undefined }))
    .filter(({ from, to }) => from < to);
}

/** What the tables map, cut to an interval. A leaf that begins before it is found there too. */
function mapped(cpu: Cpu, start: bigint, end: bigint): Piece[] {
  const pieces: Piece[] = [];
  for (const { linear, physical, sizeBytes, rights } of cpu.runs(start, end - 1n)) {
    const at = linear.toBigInt();
    const from = at < start ? start : at;
    const past = at + BigInt(sizeBytes);
    pieces.push({ from, to: past > end ? end : past, physical: physical.toBigInt() + from - at, rights });
  }
  return pieces;
}

interface Difference {
  readonly at: bigint;
  readonly expected: Piece;
  readonly found: Piece | undefined;
}

/** Both ascending; what `found` leaves out maps nothing. */
function firstDifference(wanted: readonly Piece[], found: readonly Piece[]): Difference | undefined {
  let next = 0;
  for (const expected of wanted) {
    for (let at = expected.from; at < expected.to; ) {
      while (next < found.length && found[next]!.to <= at) next += 1;
      const piece = found[next];
      const isThere = piece !== undefined && piece.from <= at;
      if (differs(expected, isThere ? piece : undefined, at))
        return { at, expected, found: isThere ? piece : undefined };
      const until = piece === undefined ? END : isThere ? piece.to : piece.from;
      at = until < expected.to ? until : expected.to;
    }
  }
  return undefined;
}

function differs(expected: Piece, found: Piece | undefined, at: bigint): boolean {
  if (expected.physical === undefined || found?.physical === undefined)
    return expected.physical !== undefined || found?.physical !== undefined;
  if (expected.physical + (at - expected.from) !== found.physical + (at - found.from)) return true;
  return expected.rights !== undefined && expected.rights !== found.rights;
}

function pieceText(piece: Piece | undefined, at: bigint): string {
  if (piece?.physical === undefined) return 'nothing mapped';
  return [hexOf(piece.physical + (at - piece.from)), piece.rights].filter((text) => text !== undefined).join(' ');
}

function listOf(pieces: readonly Piece[]): string[] {
  if (pieces.length === 0) return ['  nothing'];
  const lines = pieces.slice(0, SHOWN).map(({ from, to, physical, rights }) => {
    const target = physical === undefined ? 'nothing' : `${hexOf(physical)}  ${rights ?? ''}`;
    return `  ${hexOf(from)}  ${sizeText(Number(to - from)).padStart(6)}  ${target}`.trimEnd();
  });
  return pieces.length > SHOWN ? [...lines, `  and ${pieces.length - SHOWN} more`] : lines;
}

const hexOf = (value: bigint): string => hex64(low(value), high(value));
