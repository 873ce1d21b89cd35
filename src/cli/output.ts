/** Standard output in large synchronous pieces; complaints and progress on standard error. */
import { writeSync } from 'node:fs';
import { UsageError } from './failure.ts';

const PIECE = 1 << 16;

/** Thrown where nobody reads the output any more: the command ends quietly. */
export class ClosedPipe extends Error {}

/** What steers a terminal: names in images and corpora come from strangers. Colours, which paint.ts adds, stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const STEERING = /\x1b(?!\[[\d;]*m)|(?![\n\t\x1b])\p{Cc}/gu;
const harmless = (text: string): string => text.replace(STEERING, '\ufffd');

let pending = '';

export function print(line: string): void {
  pending += `${line}\n`;
  if (pending.length >= PIECE) flush();
}

/** UsageError where standard output takes no more, as on a full disk. */
export function flush(): void {
  const bytes = Buffer.from(harmless(pending));
  pending = '';
  if (bytes.length > 0) endProgress(); // both may be the same terminal
  for (let at = 0; at < bytes.length; ) at += writeSome(bytes, at);
}

function writeSome(bytes: Buffer, at: number): number {
  try {
    return writeSync(1, bytes, at);
  } catch (failure) {
    const { code, message } = failure as NodeJS.ErrnoException;
    if (code === 'EPIPE') throw new ClosedPipe();
    if (code !== 'EAGAIN') throw new UsageError(`standard output: ${message}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // a full non-blocking pipe: give its reader time
    return 0;
  }
}

/** One line on standard error, after the output so far. */
export function complain(sentence: string): void {
  endProgress();
  process.stderr.write(`pagewalk: ${harmless(sentence)}\n`);
}

const startedAt = Date.now();
let shownAt = 0;

/** Tells people at a terminal what takes longer than a second; at most ten times a second. */
export function progress(text: () => string): void {
  if (process.stderr.isTTY !== true) return;
  const now = Date.now();
  if (now - startedAt < 1000 || now - shownAt < 100) return;
  shownAt = now;
  rewrite(text());
}

/** Takes the progress line away again. */
export function endProgress(): void {
  if (shownAt > 0) rewrite('');
  shownAt = 0;
}

function rewrite(text: string): void {
  try {
    writeSync(2, `\r\x1b[K${text}`);
  } catch {
    // A terminal that is gone or busy: progress is no reason to stop.
  }
}
