/**
 * The trace of a failing schedule: each event in its actor's column, in words, with the line of code that it stands in; and
 * of the table concerned, who allocated, linked and freed it, and who still knows of it. Made by one last replay, which
 * alone notes lines of code.
 */
import { EventText, entryText } from './event-text.ts';
import { Explored } from './explored.ts';
import type { LogNode } from './program.ts';
import type { Splits } from './ranges.ts';
import { Replayer } from './replay.ts';
import type { Violation } from './rules.ts';
import type { Scenario } from './scenario.ts';
import type { SeenEvent } from './watched.ts';

/** One event of a schedule. */
export interface TraceRow {
  /** Events of one step have one number. */
  readonly step: number;
  /** The CPU that it belongs to. */
  readonly cpu: number;
  /** Who it is: the CPU's code, its walker, its interrupts, its caches or its store buffer. */
  readonly actor: string;
  /** What happens, in words. */
  readonly text: string;
  /** `superpage.ts:112 split`, where the event stands in code. */
  readonly site: string | undefined;
}

/** What happens in a schedule, event by event. */
export interface Trace {
  /** In order. */
  readonly rows: readonly TraceRow[];
  /** The rules that are broken at its end; none where all goes well. */
  readonly violations: readonly Violation[];
  /** Of the table concerned: sentences. */
  readonly history: readonly string[];
  /** CPUs of the machine. */
  readonly cpus: number;
}

/** Files of the seam itself: a site is who called them. */
const SEAM_FILES =
  /\/(mmu|cpu|explorer)\/[\w-]+\.ts|\/hypervisor\/(tables|table-counters|heap|locks|flush|gather|mm)\.ts/;

export function traceOf(
  scenario: Scenario,
  splits: Splits,
  schedule: readonly number[],
  afterwards: 'go on' | 'stop',
): Trace {
  const explored = new Explored(scenario, splits);
  explored.programs.observer.notesSites = true;
  const replayer = new Replayer(explored);
  const text = new EventText(explored.lives, (frame) => explored.world.pageOf(frame));
  const rows: TraceRow[] = [];
  const before = explored.steps;
  const seen: { readonly event: SeenEvent; readonly value: number; readonly frame: number; readonly step: number }[] =
    [];
  const witness = (event: SeenEvent, actor: number, node: LogNode | undefined, value: number, frame: number): void => {
    seen.push({ event, value, frame, step: explored.steps - before });
    const site = event.by === 'cpu' ? siteOf(node?.site) : undefined;
    const said = text.of(event, value, frame);
    rows.push({ step: explored.steps - before, cpu: event.cpu, actor: explored.actors[actor]!.name, text: said, site });
  };
  const { violations } = replayer.replay(schedule, afterwards, witness);
  const concerned = violations.find(({ frame }) => frame !== undefined)?.frame;
  const history = concerned === undefined ? [] : historyOf(explored, seen, concerned);
  return { rows, violations, history, cpus: explored.world.count };
}

/** Who did what to a table, and who may still use it. */
function historyOf(
  explored: Explored,
  seen: readonly { readonly event: SeenEvent; readonly value: number; readonly frame: number; readonly step: number }[],
  table: number,
): string[] {
  const name = `table 0x${table.toString(16)}`;
  const said: string[] = [];
  for (const { event, value, step } of seen) {
    const { cpu, operation, a, b } = event;
    const at = `(step ${step})`;
    if (operation === 'alloc' && value === table) said.push(`CPU ${cpu} allocated ${name} ${at}`);
    if (operation === 'publish' && b === table) said.push(`CPU ${cpu} linked it ${at}`);
    if (operation === 'detach' && a === table) said.push(`CPU ${cpu} replaced the entry that led to it ${at}`);
    if (operation === 'free' && a === table) said.push(`CPU ${cpu} freed it ${at}`);
  }
  if (!said.some((sentence) => sentence.includes('allocated'))) said.unshift(`${name} was there at the start`);
  for (let cpu = 0; cpu < explored.world.count; cpu++) {
    const read = seen.findLast(
      ({ event, frame, value }) =>
        event.cpu === cpu && event.by === 'cpu' && event.operation === 'read' && frame === table && (value & 1) !== 0,
    );
    if (read !== undefined && explored.programs.isMidway(cpu))
      said.push(`CPU ${cpu} holds a pointer to it: it read ${entryText(3, table, 1)} (step ${read.step})`);
    if (explored.world.cached[cpu]!.entries.some((entry) => entry.kind === 'table' && entry.frame === table))
      said.push(`a structure cache of CPU ${cpu} leads to it`);
  }
  return said;
}

/** The first line of a stack that is not of the seam or of the explorer. */
function siteOf(stack: string | undefined): string | undefined {
  for (const line of stack?.split('\n').slice(1) ?? []) {
    const [, name = '', path, at] =
      /at (?:(?:Object\.|new )?([\w.#<>]+) )?\(?(.*?):(\d+):\d+\)?$/.exec(line.trim()) ?? [];
    if (path === undefined || SEAM_FILES.test(path) || path.startsWith('node:')) continue;
    return `${path.split('/').at(-1)}:${at}${name === '' || name.startsWith('<') ? '' : ` ${name.split('.').at(-1)}`}`;
  }
  return undefined;
}
