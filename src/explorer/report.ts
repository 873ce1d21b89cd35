/** Reports of explorations as lines of text and as plain data. */
import { type Coverage, coverageText } from './coverage.ts';
import type { FoundFailure, Outcome } from './explore.ts';
import type { Trace, TraceRow } from './trace.ts';

/** Characters of a CPU's column. */
const COLUMN = 46;

/** One failure: what broke, how often one had to switch, and what to type to see it again. */
export function* failureLines(failure: FoundFailure): Generator<string> {
  const { kind, rule, must, what, steps, stepsFound, preemptions, switches, schedule } = failure;
  yield `${kind}: ${what}`;
  yield `  must hold: ${must} (rule ${rule})`;
  const found = stepsFound === steps ? '' : `, ${stepsFound} as it was found`;
  yield `  ${counted(preemptions, 'preemption')}, ${counted(switches, 'switch', 'switches')}, ${counted(steps, 'step')}${found}`;
  yield `  schedule: ${schedule}`;
}

/** A trace, one column a CPU, with the line of code of each event; then who did what to the table concerned. */
export function* traceLines({ rows, cpus, violations, history }: Trace): Generator<string> {
  yield [' step ', ...Array.from({ length: cpus }, (_, cpu) => `CPU ${cpu}`.padEnd(COLUMN)), 'code'].join('').trimEnd();
  let last = -1;
  for (const row of rows) {
    yield* rowLines(row, cpus, row.step === last);
    last = row.step;
  }
  for (const { what } of violations) yield `    => ${what}`;
  for (const sentence of history) yield `  ${sentence}`;
}

function* rowLines({ step, cpu, actor, text, site }: TraceRow, cpus: number, isSameStep: boolean): Generator<string> {
  const lines = wrapped(/^\d/.test(actor) ? text : `${actor}: ${text}`);
  for (const [nth, line] of lines.entries()) {
    const number = nth === 0 && !isSameStep ? String(step).padStart(4) : '    ';
    const columns = Array.from({ length: cpus }, (_, at) => (at === cpu ? line : '').padEnd(COLUMN)).join('');
    yield `${number}  ${columns}${nth === 0 ? (site ?? '') : ''}`.trimEnd();
  }
}

/** Text in pieces that fit into a column, broken between words. */
function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + word.length + 2 > COLUMN) lines.push(`  ${word}`);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** What was seen, and how fast. */
export function coverageLine(coverage: Coverage): string {
  const { events, replayed, executions, ms } = coverage;
  const perSecond = ms > 0 ? Math.round((events / ms) * 1000).toLocaleString('en') : '?';
  const counts = `${counted(events, 'event')}, ${replayed.toLocaleString('en')} replayed in ${counted(executions, 'execution')} of code`;
  return `${coverageText(coverage)}; ${counts}; ${(ms / 1000).toFixed(2)} s, ${perSecond} events a second`;
}

/** An outcome as plain data: the claim is the generated sentence. */
export const outcomeJson = ({ scenario, coverage, failures }: Outcome): object => ({
  scenario,
  claim: coverageText(coverage),
  coverage,
  failures,
});

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
